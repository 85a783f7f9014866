"""Marks of regions' states: what is kept, what is refused, and what is driven again first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1.dispatch_pb2 import Beat, Open, Opened, Recovery, StateMark
from orbital.v1.resource_pb2 import (
    LINK_STATE_UNLINKED,
    TENANT_STATE_KILLED,
    LinkSpec,
    Resource,
    ServiceSpec,
    SystemSpec,
    TenantSpec,
)
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.state import Placed, again, check_mark, check_recovery
from gateway.flow.state import States
from runtime.errors import Invalid
from runtime.kinds import LANES, REVOKING
from tests.unit.gateway.fakes import FakeState

MARK = StateMark(journal=1, term=1, epoch="e1", sequence=3)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.text(max_size=80), st.integers(0, 2**64 - 1))
def test_a_mark_is_kept_or_refused_by_its_field(journal: int, term: int, epoch: str, sequence: int) -> None:
    mark = StateMark(journal=journal, term=term, sequence=sequence)
    try:
        mark.epoch = epoch
    except UnicodeEncodeError:
        return
    refusal = None
    try:
        check_mark(mark, "mark")
    except Invalid as error:
        refusal = error
    if refusal is not None:
        assert str(refusal.field).startswith("mark.")
        assert len(refusal.message) < 300
    else:
        # All of it can be kept in PostgreSQL, and printed.
        assert mark.journal in {0, 1, 2}
        assert max(mark.term, mark.sequence) < 2**63
        assert mark.epoch.isascii()
        assert mark.epoch.isalnum()


@pytest.mark.parametrize("recovery", [{}, {"id": "x"}, {"id": "", "stores": ["journal"]}, {"id": "x\0"},
                                      {"id": "x", "stores": ["nothing"]}, {"id": "x" * 65, "stores": ["journal"]},
                                      {"id": "x", "stores": ["journal"] * 3}])  # fmt: skip
def test_a_recovery_that_says_nothing_known_is_refused(recovery: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        check_recovery(Recovery(**recovery), "recovery")  # type: ignore[arg-type]


def placed() -> list[tuple[Resource, TaskKind.ValueType]]:
    tenant, key = "tenants/t", "tenants/t/systems/s"
    return [
        (Resource(name=tenant, tenant=TenantSpec(state=TENANT_STATE_KILLED)), TaskKind.TASK_KIND_UNLINK_KEY),
        (Resource(name=tenant, tenant=TenantSpec()), TaskKind.TASK_KIND_DEFINE_TENANT),
        (Resource(name=tenant, retired=True, tenant=TenantSpec()), TaskKind.TASK_KIND_RETIRE_TENANT),
        (
            Resource(name="tenants/t/links/l", link=LinkSpec(state=LINK_STATE_UNLINKED)),
            TaskKind.TASK_KIND_UNLINK_KEY,
        ),
        (Resource(name=key, retired=True, system=SystemSpec()), TaskKind.TASK_KIND_PURGE_KEY),
        (Resource(name=f"{key}/services/v", retired=True, service=ServiceSpec()), TaskKind.TASK_KIND_PURGE_KEY),
        (Resource(name=key, system=SystemSpec(key_version=3)), TaskKind.TASK_KIND_DEFINE_KEY),
    ]


def test_each_is_driven_by_the_kind_of_its_newest_desire() -> None:
    # Whatever changed last, a label for instance: the effect generation is an old one.
    tasks = again(Placed(number, resource, 1) for number, (resource, _) in enumerate(placed()))
    assert [kind for _, kind, _ in tasks] == [kind for _, kind in placed()]
    assert all(lane == LANES[kind] for _, kind, lane in tasks)
    for resource, kind in placed():
        if resource.retired or "UNLINK" in TaskKind.Name(kind):
            assert kind in REVOKING


async def test_what_is_known_is_told_at_the_opening_and_with_beats() -> None:
    store = FakeState()
    states = States(store)
    opened, beat = Opened(), Beat()
    await states.opening(Open(region="eu10", lane=1, mark=MARK), opened)
    assert list(opened.marks) == [MARK]
    newer = StateMark(journal=1, term=1, epoch="e1", sequence=9)
    with states.held("eu10"):
        states.reported("eu10", newer)
        states.reported("eu10", StateMark())
        await states.step()
        states.tell("eu10", beat)
    assert list(beat.marks) == [newer]
    # An older copy takes nothing back.
    opened = Opened()
    await states.opening(Open(region="eu10", lane=1, mark=MARK), opened)
    assert list(opened.marks) == [newer]


async def test_a_recovery_begins_once_and_its_end_is_told() -> None:
    store = FakeState()
    states = States(store)
    recovery = Recovery(id="r1", stores=["openbao"])
    for lane in (1, 2):
        await states.opening(Open(region="eu10", lane=lane, recovery=recovery), Opened())
    assert store.begun == {"r1": "eu10"}
    beat = Beat()
    store.over = ["r1"]
    with states.held("eu10"):
        await states.step()
        states.tell("eu10", beat)
    assert list(beat.recovered) == ["r1"]
    with pytest.raises(Invalid):
        await states.opening(Open(region="eu10", lane=1, mark=StateMark(term=1, epoch="", journal=1)), Opened())
