"""A tenant leaves a region and comes back: with other keys, and only by a later generation."""

from __future__ import annotations

from itertools import permutations

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_service, read_system
from tests.unit.region.fakes import fake_parts
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
SERVICE = SYSTEM.service_of("pay")


def leave(task: pb.Task, *, for_good: bool = False) -> pb.Task:
    task.departure = not for_good
    return task


def leaving(generation: int) -> list[pb.Task]:
    return [
        leave(ESTATE.unlink(generation)),
        leave(ESTATE.purge(generation, "pay")),
        leave(ESTATE.purge(generation)),
        leave(ESTATE.retire(generation)),
    ]


def coming(generation: int) -> list[pb.Task]:
    return [
        ESTATE.define_tenant(generation),
        ESTATE.system(generation, kind=pb.TASK_KIND_DEFINE_KEY),
        ESTATE.service(generation, kind=pb.TASK_KIND_DEFINE_KEY),
        ESTATE.link(generation),
    ]


@pytest.fixture
async def parts() -> Parts:
    made = fake_parts()
    await work_all(made, *coming(1))
    return made


async def blobs(parts: Parts) -> tuple[str, ...]:
    system, _ = await read_system(parts, SYSTEM)
    service, _ = await read_service(parts, SERVICE)
    assert system is not None
    assert service is not None
    return tuple(blob.text for blob in (*system.blobs, *service.blobs))


async def depart(parts: Parts, generation: int) -> None:
    for task in leaving(generation):
        outcome = await work(parts, task)
        assert (outcome.outcome, outcome.observed) == (pb.OUTCOME_DONE, generation)
        assert outcome.destroyed is not None


async def test_what_left_leaves_no_key_and_comes_back_with_others(parts: Parts) -> None:
    before = await blobs(parts)
    await depart(parts, 2)
    assert await blobs(parts) == ()
    for task in coming(2):
        assert (await work(parts, task)).outcome != pb.OUTCOME_DONE or task.kind == pb.TASK_KIND_LINK_KEY
    for task in coming(3):
        assert (await work(parts, task)).outcome == pb.OUTCOME_DONE
    after = await blobs(parts)
    assert len(after) == len(before)
    assert not set(after) & set(before)
    record, _ = await read_system(parts, SYSTEM)
    assert record is not None
    assert record.state is keys.State.ACTIVE


async def test_a_late_task_of_before_brings_nothing_back(parts: Parts) -> None:
    await depart(parts, 2)
    for task in coming(1):
        assert (await work(parts, task)).outcome != pb.OUTCOME_DONE
    assert await blobs(parts) == ()


async def test_a_retirement_after_a_departure_is_for_good(parts: Parts) -> None:
    await depart(parts, 2)
    for task in (ESTATE.unlink(3), ESTATE.purge(3, "pay"), ESTATE.purge(3), ESTATE.retire(3)):
        assert (await work(parts, task)).outcome == pb.OUTCOME_DONE
    for task in coming(4):
        assert (await work(parts, task)).outcome != pb.OUTCOME_DONE


async def test_a_kill_of_what_has_left_is_done(parts: Parts) -> None:
    await depart(parts, 2)
    outcome = await work(parts, ESTATE.kill(3))
    assert (outcome.outcome, outcome.destroyed) == (pb.OUTCOME_DONE, ())


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_a_return_waits_for_its_parents_in_whatever_order_it_comes(order: tuple[int, ...]) -> None:
    parts = fake_parts()
    await work_all(parts, *coming(1))
    await depart(parts, 2)
    tasks, done = coming(3), set[int]()
    for _ in range(4):
        for number in order:
            if number not in done and (await work(parts, tasks[number])).outcome == pb.OUTCOME_DONE:
                done.add(number)
    assert done == {0, 1, 2, 3}
    assert len(await blobs(parts)) == 2
