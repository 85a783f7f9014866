"""Every emergency rotation is proved, also one that an earlier or a later change of the same key has carried out."""

import itertools

import pytest
from orbital.v1 import task_pb2 as pb

from tests.unit.region.fakes import fake_parts
from tests.unit.region.make import Estate, work_all

ESTATE = Estate()


def relabelled(generation: int, kind: pb.TaskKind.ValueType, service: str) -> pb.Task:
    """A later change of labels, which asks for the same versions."""
    task = ESTATE.emergency(generation, 2, service)
    task.kind = kind
    return task


@pytest.mark.parametrize("service", ["", "pay"])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_an_emergency_rotation_is_proved_in_any_order(order: tuple[int, ...], linked: bool, service: str) -> None:
    parts = fake_parts()
    before = [ESTATE.define_tenant(), ESTATE.system(), ESTATE.service(), *([ESTATE.link()] if linked else [])]
    await work_all(parts, *before)
    tasks = [
        ESTATE.emergency(2, 2, service),
        relabelled(3, pb.TASK_KIND_EMERGENCY_ROTATE, service),
        relabelled(4, pb.TASK_KIND_ROTATE_KEY, service),
    ]
    results = await work_all(parts, *(tasks[index] for index in order))
    for index, outcome in zip(order, results, strict=True):
        if tasks[index].kind == pb.TASK_KIND_EMERGENCY_ROTATE:
            assert outcome.outcome == pb.OUTCOME_DONE
            assert outcome.destroyed is not None
