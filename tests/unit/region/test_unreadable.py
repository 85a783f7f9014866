"""A record that somebody else has spoilt is told as that, and is nobody else's trouble."""

from typing import Any, cast

import pytest

from region.domain.names import Kind, Name
from region.flow.owners import Owners
from region.flow.signals import Wakeup
from region.handlers.parts import UNREADABLE, Parts, read_link, read_service, read_system, read_tenant
from runtime.errors import Stalled
from tests.unit.region.fakes import FakeStore, fake_parts
from tests.unit.region.make import Estate, work_all
from tests.unit.region.proving import fake_receipts

ESTATE = Estate()
NAMES = {
    read_tenant: Name(Kind.TENANT, "acme"),
    read_system: Name(Kind.SYSTEM, "acme", "core"),
    read_service: Name(Kind.SERVICE, "acme", "core", "pay"),
    read_link: Name(Kind.LINK, "acme", leaf="l"),
}
ODD: tuple[Any, ...] = (None, "word", -1, [], {}, [1], True, 1.5)


async def linked() -> Parts:
    parts = fake_parts()
    await work_all(parts, ESTATE.define_tenant(), ESTATE.system(), ESTATE.service(), ESTATE.link())
    return parts


@pytest.mark.parametrize("read", NAMES)
async def test_a_record_with_any_field_missing_or_odd_is_read_or_told(read: Any) -> None:
    parts, name = await linked(), NAMES[read]
    records = cast("FakeStore", parts.store).records
    whole, revision = records[name.path]
    spoilt: list[dict[str, Any]] = [{}, *({k: v for k, v in whole.items() if k != gone} for gone in whole)]
    spoilt += [{**whole, field: odd} for field in whole for odd in ODD]
    told: list[Stalled] = []
    for fields in spoilt:
        records[name.path] = (fields, revision)
        try:
            await read(parts, name)
        except Stalled as error:
            told.append(error)
    assert told
    assert {error.reason for error in told} == {UNREADABLE}
    assert all(name.resource in error.message for error in told)


async def test_one_unreadable_record_leaves_the_owners_of_the_others_asked() -> None:
    parts = await linked()
    other = Estate("other")
    await work_all(parts, other.define_tenant(), other.system(), other.service(), other.link())
    records = cast("FakeStore", parts.store).records
    records["systems/acme/core"] = ({"made": "by hand"}, records["systems/acme/core"][1])
    journal: Any = None
    owners = Owners("eu10", journal, parts, fake_receipts(journal, parts.host), Wakeup(), 1.0)
    await owners._read()
    await owners.ask_all()
    assert owners.told("hsm")["keys_in_use"] == "1"
