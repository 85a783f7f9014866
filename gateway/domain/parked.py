"""What may be done about a task that its region has parked."""

from __future__ import annotations

from orbital.v1.registry_pb2 import TaskState

from runtime.errors import Precondition
from runtime.kinds import KIND_WORDS, REVOKING
from runtime.wellknown import label

# States in which a task may be sent again, and in which it may be cancelled.
RETRIED = (TaskState.TASK_STATE_PARKED, TaskState.TASK_STATE_CANCELLED)
CANCELLED = (TaskState.TASK_STATE_PARKED,)


def check_retry(name: str, state: int, generation: int, current: int) -> None:
    """Raise Precondition when this task cannot be sent again."""
    _check_state(name, state, RETRIED, "parked or cancelled")
    if generation < current:
        raise Precondition(
            f"{name} was overtaken: generation {current} is wanted, and the task is of {generation}",
            reason="SUPERSEDED",
            field="ids",
        )


def check_cancel(name: str, state: int, kind: int) -> None:
    """Raise Precondition when this task cannot be cancelled: it is not parked, or it takes a key away."""
    _check_state(name, state, CANCELLED, "parked")
    if kind in REVOKING:
        raise Precondition(
            f"{name} is {KIND_WORDS[kind]}, and a revocation is never cancelled", reason="REVOCATION", field="ids"
        )


def _check_state(name: str, state: int, allowed: tuple[int, ...], words: str) -> None:
    if state not in allowed:
        now = label(TaskState, state, "TASK_STATE_").lower()
        raise Precondition(f"{name} is {now}; only a task that is {words} can be", reason="NOT_PARKED", field="ids")
