"""What a region's queues say: too deep, or read by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.domain.sample import Finding, Status, healthy

IMMEDIATE = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """One lane's queue."""

    lane: int
    messages: int
    consumers: int


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many messages a queue may hold, and the seconds for which it may have no reader."""

    messages: int
    unread: float


def read(queues: Sequence[Queue], unread: Sequence[int], most: int, version: str) -> Finding:
    """What the queues say; one with more than `most` messages is deep, those of the lanes `unread` nobody reads."""
    values = tuple(
        pair
        for queue in queues
        for pair in (
            (f"lane_{queue.lane}.messages", str(queue.messages)),
            (f"lane_{queue.lane}.consumers", str(queue.consumers)),
        )
    )
    values = (("connection", "open"), *values)
    if unread:
        text = f"Nobody reads this region's queue of lane {', '.join(map(str, unread))}."
        return Finding(Status.DEGRADED, _unread(unread), text, values, version)
    deep = [queue for queue in queues if queue.messages > most]
    if deep:
        text = f"{deep[0].messages} messages wait in this region's queue of lane {deep[0].lane}."
        return Finding(Status.DEGRADED, "QUEUE_DEEP", text, values, version)
    return healthy(*values, version=version)


def _unread(lanes: Sequence[int]) -> str:
    """Lane 0 is read by one process, the others by another: who explains the one does not explain the other."""
    if IMMEDIATE not in lanes:
        return "QUEUE_UNREAD_BULK"
    return "QUEUE_UNREAD_IMMEDIATE" if len(lanes) == 1 else "QUEUES_UNREAD"
