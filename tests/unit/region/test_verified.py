"""What is not verified is not reported: by a revocation, a kill, a purge, an emergency rotation, a Link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_system, write
from region.handlers.permit import NOT_DESTROYED, finish
from region.ports.vault import Permit, TransitKey
from tests.unit.region.fakes import FakeHsm, FakePermits, FakeTransit, fake_parts, restarted
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()


class Deaf(FakeTransit):
    """Says that it deleted or restricted a key, and did not."""

    deaf = True

    async def destroy(self, name: str, permit: Permit) -> None:
        if not self.deaf:
            await super().destroy(name, permit)

    async def restrict(self, name: str, least: int, permit: Permit) -> None:
        if not self.deaf:
            await super().restrict(name, least, permit)


class Lying(Deaf):
    """The same, and asked for the key it says that there is none: only decryption tells."""

    async def key(self, name: str) -> TransitKey | None:
        return await super().key(name) if not self.deaf else None


class Open(Lying):
    """The same, and it decrypts whatever it is given."""

    async def decrypt(self, name: str, texts: Sequence[str]) -> list[bytearray]:
        return [bytearray(32) for _ in texts] if self.deaf and name in self.keys else await super().decrypt(name, texts)


async def _linked(transit: FakeTransit) -> Parts:
    parts = fake_parts()
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    transit.keys, transit.least = (known := cast("FakeTransit", parts.transit)).keys, known.least
    transit.permits = cast("FakePermits", parts.permits)
    return replace(parts, transit=transit)


@pytest.mark.parametrize("wanted", [lambda: ESTATE.unlink(2), lambda: ESTATE.kill(2)], ids=["unlink", "kill"])
@pytest.mark.parametrize("transit", [Deaf, Lying, Open])
async def test_a_revocation_is_reported_only_once_the_key_is_gone(
    transit: type[Deaf], wanted: Callable[[], pb.Task]
) -> None:
    parts = await _linked(found := transit())
    outcome = await work(parts, wanted())
    assert (outcome.outcome, outcome.reason) == (pb.OUTCOME_WAITING, NOT_DESTROYED)
    assert outcome.destroyed is None
    # Nor when it is delivered again.
    assert (await work(parts, wanted())).reason == NOT_DESTROYED
    found.deaf = False
    assert (await work(parts, wanted())).outcome == pb.OUTCOME_DONE
    assert found.keys == {}


@pytest.mark.parametrize("transit", [Deaf, Lying, Open])
async def test_a_purge_is_reported_only_once_the_key_is_gone(transit: type[Deaf]) -> None:
    parts = await _linked(found := transit())
    await work(parts, ESTATE.unlink(2))
    await work(parts, ESTATE.purge(9, "pay"))
    assert (await work(parts, ESTATE.purge(9))).reason == NOT_DESTROYED
    found.deaf = False
    assert (await work(parts, ESTATE.purge(9))).outcome == pb.OUTCOME_DONE
    assert found.keys == {}


async def test_an_emergency_rotation_is_reported_only_once_old_versions_are_refused() -> None:
    parts = await _linked(found := Deaf())
    assert (await work(parts, ESTATE.emergency(2, 2))).reason == "NOT_RESTRICTED"
    found.deaf = False
    assert (await work(parts, ESTATE.emergency(2, 2))).outcome == pb.OUTCOME_DONE
    assert found.least == {"acme.core": 2}


async def test_what_another_process_took_away_is_not_reported_from_memory() -> None:
    parts = fake_parts()
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    system = Name(Kind.SYSTEM, "acme", "core")
    other = restarted(parts)
    record, revision = await read_system(other, system)
    assert record is not None
    # As when the owner of the L1 refuses it: no fence is raised.
    now = parts.host.now()
    await write(other, system, record.refused(now, now), revision)
    assert await finish(other, system)
    cast("FakeHsm", parts.hsm).refused.add("l1-acme")
    assert (await work(parts, ESTATE.link())).outcome != pb.OUTCOME_DONE
    assert cast("FakeTransit", parts.transit).keys == {}
