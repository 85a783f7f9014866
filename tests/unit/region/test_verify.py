"""What `region verify` finds: nothing after any work, and each kind of disagreement when it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import cast

import pytest
from orbital.v1.registry_pb2 import Placement
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, ServiceSpec, SystemSpec, TenantSpec
from orbital.v1.verify_pb2 import Disagreement, HeldResource

from console.cli.disagreement import compare
from region.domain import keys
from region.domain.names import Kind, Name
from region.domain.verify import Holding
from region.flow.verify import Verify
from region.handlers.parts import Parts, read_service, read_system, write
from tests.unit.region.fakes import FakeHost, FakeStore, FakeTransit, fake_parts
from tests.unit.region.make import Estate, work_all

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
SERVICE = SYSTEM.service_of("pay")
TENANT, LINK = "tenants/acme", "tenants/acme/links/l"
JOURNAL = {TENANT: 1, SYSTEM.resource: 1, SERVICE.resource: 1, LINK: 1}


class FakeLedger:
    def __init__(self, held: Mapping[str, int]) -> None:
        self._held = held

    async def held(self) -> Mapping[str, int]:
        return self._held


async def linked() -> Parts:
    parts = fake_parts(FakeHost())
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    return parts


async def look(parts: Parts, *journals: Mapping[str, int]) -> dict[str, Holding]:
    verify = Verify(parts, [FakeLedger(one) for one in journals or (JOURNAL,)])
    return {one.name: one for one in await verify.held()}


def wrong(found: Mapping[str, Holding]) -> set[tuple[str, str]]:
    return {(one.name, reason) for one in found.values() for reason, _ in one.disagreements}


def store(parts: Parts) -> FakeStore:
    return cast("FakeStore", parts.store)


def transit(parts: Parts) -> FakeTransit:
    return cast("FakeTransit", parts.transit)


async def test_nothing_is_found_when_all_agree() -> None:
    parts = await linked()
    found = await look(parts)
    assert wrong(found) == set()
    assert {name: (one.generation, one.state, one.versions, one.journal) for name, one in found.items()} == {
        TENANT: (1, "ACTIVE", 0, 1),
        SYSTEM.resource: (1, "ACTIVE", 1, 1),
        SERVICE.resource: (1, "ACTIVE", 1, 1),
        LINK: (1, "LINKED", 0, 1),
    }


async def test_nothing_is_found_after_a_revocation_a_rotation_and_a_purge() -> None:
    parts = await linked()
    await work_all(parts, ESTATE.system(2, 2), ESTATE.emergency(3, 3))
    newer = {**JOURNAL, SYSTEM.resource: 3}
    assert wrong(await look(parts, newer)) == set()
    await work_all(parts, ESTATE.unlink(2))
    newer[LINK] = 2
    # Of two journals the newer word counts.
    assert wrong(await look(parts, newer, JOURNAL)) == set()
    await work_all(parts, ESTATE.purge(9, "pay"), ESTATE.purge(9))
    newer |= {SERVICE.resource: 9, SYSTEM.resource: 9}
    assert wrong(await look(parts, newer)) == set()


async def _orphan(parts: Parts) -> None:
    transit(parts).keys["acme.gone"] = [b"k" * 32]


async def _left_behind(parts: Parts) -> None:
    key = transit(parts).keys[SYSTEM.transit]
    await work_all(parts, ESTATE.unlink(2))
    transit(parts).keys[SYSTEM.transit] = key


async def _lost(parts: Parts) -> None:
    transit(parts).keys.clear()


async def _more_versions(parts: Parts) -> None:
    transit(parts).keys[SYSTEM.transit].append(b"k" * 32)


async def _not_restricted(parts: Parts) -> None:
    await work_all(parts, ESTATE.emergency(2, 2))
    transit(parts).least.clear()


async def _record_gone(parts: Parts) -> None:
    del store(parts).records[SERVICE.path]


async def _system_gone(parts: Parts) -> None:
    del store(parts).records[SYSTEM.path]
    transit(parts).keys.clear()


async def _newer_record(parts: Parts) -> None:
    record, revision = await read_service(parts, SERVICE)
    assert record is not None
    await write(parts, SERVICE, replace(record, generation=7), revision)


async def _unknown_record(parts: Parts) -> None:
    await write(parts, SYSTEM.service_of("stray"), keys.ServiceRecord(1, ()), 0)


async def _broken_off(parts: Parts) -> None:
    record, revision = await read_system(parts, SYSTEM)
    assert record is not None
    await write(parts, SYSTEM, replace(record, settled=False), revision)


async def _service_behind(parts: Parts) -> None:
    record, revision = await read_service(parts, SERVICE)
    assert record is not None
    blobs = tuple(replace(blob, wrapped_by=keys.ROOT) for blob in record.blobs)
    await write(parts, SERVICE, replace(record, blobs=blobs), revision)


@pytest.mark.parametrize(
    ("harm", "name", "reason"),
    [
        (_orphan, "tenants/acme/systems/gone", "KEY_ORPHANED"),
        (_left_behind, SYSTEM.resource, "KEY_ORPHANED"),
        (_lost, SYSTEM.resource, "KEY_MISSING"),
        (_more_versions, SYSTEM.resource, "KEY_VERSIONS_WRONG"),
        (_not_restricted, SYSTEM.resource, "KEY_NOT_RESTRICTED"),
        (_record_gone, SERVICE.resource, "RECORD_MISSING"),
        (_system_gone, SERVICE.resource, "SYSTEM_MISSING"),
        (_newer_record, SERVICE.resource, "GENERATION_WRONG"),
        (_unknown_record, SYSTEM.service_of("stray").resource, "NOT_IN_JOURNAL"),
        (_broken_off, SYSTEM.resource, "UNSETTLED"),
        (_service_behind, SERVICE.resource, "SERVICE_BEHIND"),
    ],
)
async def test_each_disagreement_is_found(harm: Callable[[Parts], Awaitable[None]], name: str, reason: str) -> None:
    parts = await linked()
    await harm(parts)
    journal = {**JOURNAL, LINK: 2, SYSTEM.resource: 2}
    assert (name, reason) in wrong(await look(parts, journal))


DECLARED = [
    Resource(name=TENANT, tenant=TenantSpec()),
    Resource(name=SYSTEM.resource, system=SystemSpec(key_version=1)),
    Resource(name=SERVICE.resource, service=ServiceSpec(key_version=1)),
    Resource(name=LINK, link=LinkSpec(system="core")),
]


def placement(name: str, desired: int = 1, observed: int = 1) -> Placement:
    return Placement(resource=name, desired_generation=desired, observed_generation=observed)


def held(name: str, **fields: object) -> HeldResource:
    states = {TENANT: "ACTIVE", SYSTEM.resource: "ACTIVE", SERVICE.resource: "ACTIVE", LINK: "LINKED"}
    versions = 1 if "/systems/" in name else 0
    one = HeldResource(
        name=name, record_generation=1, journal_generation=1, record_state=states.get(name, ""), key_versions=versions
    )
    one.MergeFrom(HeldResource(**fields))  # type: ignore[arg-type]
    return one


def reasons(changed: HeldResource | None = None, gone: str = "", **options: Placement) -> list[tuple[str, str]]:
    every = {one.name: held(one.name) for one in DECLARED if one.name != gone}
    if changed:
        every[changed.name] = changed
    placements = {one.name: placement(one.name) for one in DECLARED} | {p.resource: p for p in options.values()}
    return [(one.resource, one.reason) for one in compare(placements.values(), DECLARED, every.values())]


def test_what_is_declared_is_compared() -> None:
    assert reasons() == []
    assert reasons(gone=LINK) == [(LINK, "MISSING")]
    assert reasons(held("tenants/stranger")) == [("tenants/stranger", "NOT_DECLARED")]
    assert reasons(held(SYSTEM.resource, journal_generation=3)) == [(SYSTEM.resource, "GENERATION_WRONG")]
    assert reasons(held(SYSTEM.resource, record_generation=3)) == [(SYSTEM.resource, "GENERATION_WRONG")]
    assert reasons(held(SYSTEM.resource, key_versions=2)) == [(SYSTEM.resource, "STATE_WRONG")]
    assert reasons(held(LINK, record_state="UNLINKED")) == [(LINK, "STATE_WRONG")]
    assert reasons(held(TENANT, record_state="KILLED")) == [(TENANT, "STATE_WRONG")]
    assert reasons(behind=placement(LINK, desired=2)) == [(LINK, "BEHIND")]
    said = held(SYSTEM.resource, disagreements=[Disagreement(reason="KEY_MISSING", message="gone")])
    assert reasons(said) == [(SYSTEM.resource, "KEY_MISSING")]


def test_a_tombstone_has_to_be_one() -> None:
    retired = [Resource(name=SYSTEM.resource, system=SystemSpec(key_version=1), retired=True)]
    whole = [held(SYSTEM.resource)]
    gone = [held(SYSTEM.resource, record_state="DESTROYED")]
    assert [one.reason for one in compare([placement(SYSTEM.resource)], retired, whole)] == ["STATE_WRONG"]
    assert compare([placement(SYSTEM.resource)], retired, gone) == []
    assert compare([], retired, gone) == []
    unlinked = [Resource(name=LINK, link=LinkSpec(state=LinkState.LINK_STATE_UNLINKED), retired=True)]
    assert compare([placement(LINK)], unlinked, [held(LINK, record_state="UNLINKED")]) == []
