"""What waits at the hops that pass their work through the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Oldest:
    """The oldest item that may be taken now: its age in seconds, and what tells it from the one that comes after it."""

    age: float
    mark: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of one lane: the oldest drift that no task was made of, and the oldest task that was not published."""

    due: Oldest | None
    pending: Oldest | None


class HopStore(Protocol):
    """Tells what waits."""

    async def waiting(self, lanes: Sequence[int]) -> Mapping[int, Waiting]:
        """What waits on these lanes, in one statement that is bounded; what is held or has a fault does not count."""
