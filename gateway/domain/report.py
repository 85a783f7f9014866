"""What reports say about placements and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orbital.v1.registry_pb2 import TaskState
from orbital.v1.task_pb2 import Outcome, Report

from runtime.wellknown import seconds

TASK_STATES: dict[int, TaskState.ValueType] = {
    Outcome.OUTCOME_DONE: TaskState.TASK_STATE_DONE,
    Outcome.OUTCOME_STALE: TaskState.TASK_STATE_SUPERSEDED,
    Outcome.OUTCOME_DENIED: TaskState.TASK_STATE_DENIED,
    Outcome.OUTCOME_FAILED: TaskState.TASK_STATE_FAILED,
    # The region has it and goes on: for the control plane it is still under way.
    Outcome.OUTCOME_WAITING: TaskState.TASK_STATE_PUBLISHED,
    Outcome.OUTCOME_PARKED: TaskState.TASK_STATE_PARKED,
    Outcome.OUTCOME_CANCELLED: TaskState.TASK_STATE_CANCELLED,
}
# Seconds until a placement is driven again after each outcome; 0 leaves the time as it is.
REDRIVE: dict[int, float] = {
    Outcome.OUTCOME_DONE: 0.0,
    Outcome.OUTCOME_STALE: 0.0,
    Outcome.OUTCOME_DENIED: 30.0,
    Outcome.OUTCOME_FAILED: 60.0,
    Outcome.OUTCOME_WAITING: 120.0,
    # After the pause of the region.
    Outcome.OUTCOME_PARKED: 120.0,
    # Told again now and then: a region whose journal was restored may have it again.
    Outcome.OUTCOME_CANCELLED: 3600.0,
}
LONGEST_PAUSE = 86_400  # seconds for which a region may leave a parked task alone


@dataclass(frozen=True, slots=True)
class RegionReport:
    """A report and the region whose identity vouches for it."""

    region: str
    report: Report
    # Whether the signature of its receipt was verified.
    verified: bool = False


def pause_of(report: Report) -> float:
    """Seconds for which the region leaves the task alone; 0 for one that is not parked."""
    parked = report.outcome == Outcome.OUTCOME_PARKED
    return seconds(report.retry_after) if parked else 0.0


def redrive_after(report: Report) -> float:
    """Seconds until the placement is driven again; 0 leaves the time as it is."""
    return REDRIVE[report.outcome] + pause_of(report)


def proves(report: Report) -> bool:
    """Whether a region proves by this report that it revoked what its task says, and by a task of ours."""
    return report.outcome == Outcome.OUTCOME_DONE and bool(report.receipt) and not report.withdrawn


def last_by_task(reports: Iterable[RegionReport]) -> list[RegionReport]:
    """One report a task: the last one, because a later report knows more."""
    return list({(item.region, item.report.task_id): item for item in reports}.values())


def last_by_placement(reports: Iterable[RegionReport]) -> list[RegionReport]:
    """One report a placement: the one of the newest task; of one task, what was observed last."""
    best: dict[tuple[str, str], RegionReport] = {}
    for item in reports:
        key = (item.report.resource, item.region)
        if key not in best or item.report.generation >= best[key].report.generation:
            best[key] = item
    return list(best.values())
