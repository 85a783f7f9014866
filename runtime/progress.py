"""Whether each hop of the way of a task moves: an item that waits while nothing passes is a fault without an error.

Pure: times are seconds by a clock that nobody sets, and come in.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

# The reason of a flag, and of a part that is started again.
NOT_PROGRESSING = "NOT_PROGRESSING"


class Hop(StrEnum):
    """The hops, in the order in which a task passes them."""

    DETECT = "detect"
    CLAIM = "claim"
    PUBLISH = "publish"
    QUEUE = "queue"
    STREAM = "stream"
    JOURNAL = "journal"
    EXECUTE = "execute"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Place:
    """A hop of a lane; `region` where the hop belongs to one region of many."""

    hop: Hop
    lane: int
    region: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look finds at a hop.

    `age`: seconds for which its oldest item has been there, None where nothing waits. `mark` is another one whenever
    something has passed. `awaits`: the known reason for which nothing can pass, empty where there is none.
    """

    age: float | None
    mark: Hashable
    awaits: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Seconds: `bound`, for which something may wait while nothing passes; `pause`, which a restart is given to help.

    The pause doubles with each restart, up to `longest`.
    """

    bound: float
    pause: float
    longest: float = 300.0

    def wait(self, restarts: int) -> float:
        """How long the restart of this number is given."""
        return min(self.longest, self.pause * 2.0 ** min(restarts - 1, 30))


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a hop: the last look, and when something last passed, nothing waited, and it was looked at.

    `restarts` since something passed; the next one is due at `restart_at`. `stuck`: a restart did not help. `empty_at`:
    since when nothing waits after a restart.
    """

    seen: Reading
    moved_at: float
    free_at: float
    seen_at: float
    restarts: int = 0
    restart_at: float = 0.0
    stuck: bool = False
    empty_at: float | None = None

    def age(self) -> float:
        """Seconds for which the oldest item has waited; 0 where nothing waits."""
        return self.seen.age or 0.0

    def idle(self) -> float:
        """Seconds since something last passed."""
        return self.seen_at - self.moved_at


def observe(before: Progress | None, seen: Reading, now: float, rule: Rule) -> tuple[Progress, bool]:
    """(what is known after a look, whether the hop's part is to be started again now)."""
    if before is None:
        return Progress(seen, now, now, now), False
    moved = seen.mark != before.seen.mark
    free = seen.age is None or bool(seen.awaits)
    moved_at = now if moved else before.moved_at
    free_at = now if free else before.free_at
    if free and not (moved or seen.awaits) and before.restarts:
        # A part that has just been started again has nothing in hand yet.
        empty_at = now if before.empty_at is None else before.empty_at
        if now - empty_at < rule.pause:
            return replace(before, seen=seen, seen_at=now, empty_at=empty_at), False
    if moved or free:
        return Progress(seen, moved_at, free_at, now), False
    after = replace(before, seen=seen, seen_at=now, empty_at=None)
    if now - max(moved_at, free_at) < rule.bound or (before.restarts and now < before.restart_at):
        return after, False
    restarts = before.restarts + 1
    return replace(
        after, restarts=restarts, restart_at=now + rule.wait(restarts), stuck=before.stuck or before.restarts > 0
    ), True


def forgotten(known: Mapping[Place, Progress], looked: Iterable[Place], now: float, seconds: float) -> list[Place]:
    """What is not worth knowing any more: hops that were not there at the looks of the last so many seconds."""
    here = set(looked)
    return [place for place, each in known.items() if place not in here and now - each.seen_at >= seconds]


def told(place: Place, known: Progress) -> str:
    """A sentence for a person about a hop that is stuck."""
    of = f" of {place.region}" if place.region else ""
    times = "once" if known.restarts - 1 == 1 else f"{known.restarts - 1} times"
    where = f"{place.hop} of lane {place.lane}{of}"
    return does_not_move(where, known.age(), known.idle(), f"starting it again {times}")


def does_not_move(where: str, age: float, idle: float, tried: str = "starting it again") -> str:
    """The same, of what another process says of its hop; both times are seconds."""
    return (
        f"The hop {where} does not move: its oldest item waits for {age:.0f} s, "
        f"nothing has passed for {idle:.0f} s, and {tried} did not help."
    )
