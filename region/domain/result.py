"""What came of a task in the region."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orbital.v1 import task_pb2 as pb

from region.domain.destroyed import Destroyed


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one task; `state` is remembered as held, `awaits` names the resource that wakes a waiting one.

    `destroyed` is None where the task was none that destroys; an empty one says that there was nothing to destroy.
    `failing` says that the task failed by itself, and `retry_after` after how many seconds a parked one is tried again.
    """

    outcome: pb.Outcome.ValueType
    observed: int = 0
    reason: str = ""
    message: str = ""
    key_state: pb.KeyState.ValueType = pb.KEY_STATE_UNSPECIFIED
    key_version: int = 0
    state: str = ""
    awaits: str = ""
    destroyed: tuple[Destroyed, ...] | None = None
    failing: bool = False
    retry_after: float = 0.0

    @property
    def waiting(self) -> bool:
        """True while the task stays in the journal."""
        return self.outcome == pb.OUTCOME_WAITING


def done(
    generation: int,
    state: str = "",
    key_state: pb.KeyState.ValueType = pb.KEY_STATE_UNSPECIFIED,
    key_version: int = 0,
    destroyed: tuple[Destroyed, ...] | None = None,
) -> Result:
    """The effect is durable."""
    return Result(
        pb.OUTCOME_DONE, generation, key_state=key_state, key_version=key_version, state=state, destroyed=destroyed
    )


def stale(observed: int) -> Result:
    """The region holds `observed`, which is newer."""
    return Result(
        pb.OUTCOME_STALE, observed, "SUPERSEDED", f"The region holds generation {observed}; nothing was done."
    )


def superseded(by: int, held: int) -> Result:
    """Generation `by` was received and takes its place; what the region holds is still `held` (0: nothing).

    The newer one may yet wait or fail, so that only `held` is claimed as observed.
    """
    return Result(pb.OUTCOME_STALE, held, "SUPERSEDED", f"Generation {by} takes its place; nothing was done.")


def failed(reason: str, message: str) -> Result:
    """The task cannot succeed as it is."""
    return Result(pb.OUTCOME_FAILED, 0, reason, message, failing=True)


def failing(reason: str, message: str) -> Result:
    """It failed by itself, and may succeed later; tried again by itself."""
    return Result(pb.OUTCOME_WAITING, 0, reason, message, failing=True)


def parked(last: Result, seconds: float) -> Result:
    """It failed as often as the limit says, at last with `last`; left alone for so many seconds."""
    return replace(last, outcome=pb.OUTCOME_PARKED, retry_after=seconds)


def cancelled() -> Result:
    """The control plane took it back."""
    return Result(pb.OUTCOME_CANCELLED, 0, "CANCELLED", "The task was cancelled before it was done; nothing was done.")


def denied(reason: str, message: str) -> Result:
    """The region's policy refused it."""
    return Result(pb.OUTCOME_DENIED, 0, reason, message)


def purged(resource: str, held: int, generation: int) -> Result:
    """There is a tombstone: a late task is superseded by it, a newer one cannot bring the key back."""
    if held >= generation:
        return stale(held)
    return failed("PURGED", f"{resource} was purged; nothing brings it back.")


def waiting(reason: str, message: str, awaits: str = "") -> Result:
    """Something is away; tried again by itself."""
    return Result(pb.OUTCOME_WAITING, 0, reason, message, awaits=awaits)
