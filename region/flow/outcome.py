"""An entry and what came of it, as the report that will be sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1 import task_pb2 as pb

from region.domain.result import Result
from region.domain.work import Entry, Settled


@dataclass(frozen=True, slots=True)
class Decided:
    """The policy's decision over the batch, and when it was had."""

    decision_id: str
    at: float


def settled(
    entry: Entry, outcome: Result, decided: Decided, now: float, due_at: float, receipt: bytes = b""
) -> Settled:
    """The row for the journal, its report serialized once."""
    task = entry.task
    held = entry.held.generation if entry.held else 0
    report = pb.Report(
        task_id=task.id,
        kind=task.kind,
        tenant=task.tenant,
        resource=entry.resource,
        generation=entry.generation,
        observed_generation=outcome.observed or held,
        outcome=outcome.outcome,
        reason=outcome.reason,
        message=outcome.message,
        key_state=outcome.key_state,
        key_version=outcome.key_version,
        correlation_id=task.correlation_id,
        decision_id=decided.decision_id,
        received_at=stamp(entry.received_at),
        decided_at=stamp(decided.at),
        executed_at=stamp(now),
        receipt=receipt,
        attempt=task.attempt,
    )
    if outcome.retry_after:
        report.retry_after.FromNanoseconds(int(outcome.retry_after * 1e9))
    return Settled(entry, outcome, report.SerializeToString(), due_at, receipt)


@lru_cache(maxsize=16)
def stamp(seconds: float) -> Timestamp:
    """A batch has three times, not three a task."""
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
