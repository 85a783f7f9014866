"""What is purged stays purged: killed at every call, replayed in every order, whatever arrives late."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_service, read_system, read_tenant
from tests.unit.region.fakes import Crash, FakeHost, FakeStore, FakeTransit, crashing, fake_parts
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
Tasks = list[pb.Task]


def _unlinked() -> Tasks:
    return [*ESTATE.foundation(), ESTATE.link(), ESTATE.unlink(2)]


SCENARIOS: dict[str, tuple[Callable[[], Tasks], Callable[[], pb.Task]]] = {
    "service": (_unlinked, lambda: ESTATE.purge(9, "pay")),
    "service_linked": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.purge(9, "pay")),
    "service_unknown": (lambda: ESTATE.foundation()[:2], lambda: ESTATE.purge(9, "pay")),
    "system": (lambda: [*_unlinked(), ESTATE.purge(9, "pay")], lambda: ESTATE.purge(9)),
    "system_pre_active": (lambda: ESTATE.foundation()[:2], lambda: ESTATE.purge(9)),
    "system_unknown": (lambda: ESTATE.foundation()[:1], lambda: ESTATE.purge(9)),
    "tenant": (lambda: [*_unlinked(), ESTATE.purge(9, "pay"), ESTATE.purge(9)], lambda: ESTATE.retire(9)),
    "tenant_unknown": (list, lambda: ESTATE.retire(9)),
}


def _steps() -> list[tuple[str, int, bool]]:
    async def count(scenario: str) -> int:
        before, interrupted = SCENARIOS[scenario]
        parts = fake_parts()
        await work_all(parts, *before())
        walked, steps = crashing(parts, -1, after=False)
        await work(walked, interrupted())
        return next(steps)

    return [
        (scenario, step, after)
        for scenario in SCENARIOS
        for step in range(asyncio.run(count(scenario)))
        for after in (False, True)
    ]


async def _finish(parts: Parts, host: FakeHost, wanted: pb.Task) -> None:
    outcome = await work(parts, wanted)
    if outcome.reason == "CACHED":
        host.time += 11
        outcome = await work(parts, wanted)
    assert outcome.outcome == pb.OUTCOME_DONE, outcome


def _late() -> Tasks:
    """What may still be on its way when something was purged."""
    return [
        *ESTATE.foundation(), ESTATE.link(), ESTATE.link(3), ESTATE.unlink(4), ESTATE.system(2, 3),
        ESTATE.service(2, 3), ESTATE.emergency(5, 5), ESTATE.emergency(5, 5, "pay"),
    ]  # fmt: skip


@pytest.mark.parametrize(("scenario", "step", "after"), _steps())
async def test_a_crash_anywhere_is_finished_by_redelivery(scenario: str, step: int, after: bool) -> None:
    before, interrupted = SCENARIOS[scenario]
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *before())
    dying, _ = crashing(parts, step, after=after)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await work(dying, interrupted())
    wanted = interrupted()
    await _finish(parts, host, wanted)
    await work_all(parts, *_late())
    store, transit = cast("FakeStore", parts.store), cast("FakeTransit", parts.transit)
    match scenario.split("_", maxsplit=1)[0]:
        case "service":
            service, _ = await read_service(parts, SYSTEM.service_of("pay"))
            assert service is not None
            assert (service.blobs, service.generation, service.purged) == ((), 9, True)
        case "system":
            system, _ = await read_system(parts, SYSTEM)
            assert system is not None
            assert (system.blobs, system.generation, system.state) == ((), 9, keys.State.DESTROYED)
            assert not system.destroying_until
            assert transit.keys == {}
        case _:
            tenant, _ = await read_tenant(parts, SYSTEM)
            assert tenant is not None
            assert tenant.retired
            assert transit.keys == {}
            assert not any(fields.get("blobs") for fields, _ in store.records.values())
    assert (await work(parts, wanted)).outcome == pb.OUTCOME_DONE


async def test_children_come_first_and_a_linked_system_waits() -> None:
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    assert (await work(parts, ESTATE.retire(9))).reason == "SYSTEMS_LEFT"
    waits = await work(parts, ESTATE.purge(9))
    assert (waits.reason, waits.awaits) == ("SYSTEM_LINKED", "tenants/acme/links/l")
    await work(parts, ESTATE.unlink(9))
    waits = await work(parts, ESTATE.purge(9))
    assert (waits.reason, waits.awaits) == ("SERVICES_LEFT", "tenants/acme/systems/core/services/pay")
    for wanted in (ESTATE.purge(9, "pay"), ESTATE.purge(9), ESTATE.retire(9)):
        await _finish(parts, host, wanted)


async def test_a_service_of_a_linked_system_is_purged_once_no_memory_can_hold_it() -> None:
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    assert (await work(parts, ESTATE.purge(9, "pay"))).reason == "CACHED"
    host.time += 11
    assert (await work(parts, ESTATE.purge(9, "pay"))).outcome == pb.OUTCOME_DONE


@pytest.mark.parametrize("order", list(itertools.permutations(range(6))))
async def test_any_order_of_everything_ends_with_nothing(order: tuple[int, ...]) -> None:
    host = FakeHost()
    parts = fake_parts(host)
    await work(parts, ESTATE.define_tenant())
    tasks = [
        ESTATE.system(), ESTATE.service(), ESTATE.link(), ESTATE.unlink(9), ESTATE.purge(9, "pay"), ESTATE.purge(9),
    ]  # fmt: skip
    await work_all(parts, *(tasks[index] for index in order))
    host.time += 11
    for wanted in (ESTATE.unlink(9), ESTATE.purge(9, "pay"), ESTATE.purge(9), ESTATE.retire(9)):
        await _finish(parts, host, wanted)
    await work_all(parts, *(tasks[index] for index in order))
    assert cast("FakeTransit", parts.transit).keys == {}
    assert not any(fields.get("blobs") for fields, _ in cast("FakeStore", parts.store).records.values())


async def test_a_newer_definition_does_not_bring_it_back() -> None:
    parts = fake_parts()
    await work_all(parts, *_unlinked(), ESTATE.purge(9, "pay"), ESTATE.purge(9), ESTATE.retire(9))
    again = [ESTATE.define_tenant(10), ESTATE.system(10), ESTATE.service(10), ESTATE.link(10)]
    assert {(await work(parts, each)).reason for each in again} == {"PURGED"}
