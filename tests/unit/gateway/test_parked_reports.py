"""What a report says of a parked task is bounded, and nothing else may say it."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from orbital.v1.registry_pb2 import TaskState
from orbital.v1.task_pb2 import Outcome, Report, TaskKind

from gateway.domain.parked import CANCELLED, RETRIED, check_cancel, check_retry
from gateway.domain.report import LONGEST_PAUSE, REDRIVE, TASK_STATES, pause_of, redrive_after
from gateway.flow.report import check_report
from runtime.errors import Invalid, Precondition
from runtime.kinds import REVOKING

OUTCOMES = [value for value in Outcome.values() if value]
PAUSES = (None, -1, 0, 1, 300, LONGEST_PAUSE, LONGEST_PAUSE + 1, 2**40)


def report(outcome: Outcome.ValueType, pause: int | None) -> Report:
    made = Report(task_id="a" * 32, kind=TaskKind.TASK_KIND_LINK_KEY, outcome=outcome)
    if pause is not None:
        made.retry_after.CopyFrom(Duration(seconds=pause))
    return made


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_is_bounded_and_of_parked_tasks_alone(outcome: Outcome.ValueType, pause: int | None) -> None:
    made = report(outcome, pause)
    parked = outcome == Outcome.OUTCOME_PARKED
    if (parked and pause is not None and 0 < pause <= LONGEST_PAUSE) or (not parked and pause is None):
        check_report(made, "report")
        assert pause_of(made) == (pause if parked else 0)
        assert redrive_after(made) == REDRIVE[outcome] + pause_of(made)
        return
    with pytest.raises(Invalid) as error:
        check_report(made, "report")
    assert error.value.field == "report.retry_after"


def test_every_outcome_is_a_state_and_has_a_time() -> None:
    assert TASK_STATES.keys() == REDRIVE.keys() == set(OUTCOMES)


@pytest.mark.parametrize("state", [value for value in TaskState.values() if value])
@pytest.mark.parametrize("kind", [value for value in TaskKind.values() if value])
def test_what_may_be_done_about_a_task(state: TaskState.ValueType, kind: TaskKind.ValueType) -> None:
    def allowed(check: object, *told: object) -> bool:
        try:
            check("it", state, *told)  # type: ignore[operator]
        except Precondition:
            return False
        return True

    assert allowed(check_cancel, kind) == (state in CANCELLED and kind not in REVOKING)
    assert allowed(check_retry, 2, 2) == (state in RETRIED)
    assert not allowed(check_retry, 2, 3)
