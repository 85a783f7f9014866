"""A region's timeline: each of its parts, and how it was when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.cli import rows
from console.cli.moments import at, moment_of, spell_duration

WIDTH = 1000.0
# A state too short to be drawn is still seen.
NARROWEST = 3.0
HEALTHY = "healthy"
SPANS = {"1h": 3600, "6h": 6 * 3600, "24h": 24 * 3600, "7d": 7 * 24 * 3600}


@dataclass(frozen=True, slots=True)
class TimelineState:
    """A part between two times. `x` and `width` are in units of WIDTH."""

    status: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class ComponentTimeline:
    """One component: what was not as it should be, and how it is now; between those it was healthy."""

    component: str
    status: str
    states: tuple[TimelineState, ...]

    @property
    def told(self) -> str:
        """The same in words."""
        return "; ".join(state.title for state in self.states)


def timeline(
    changes: Sequence[rows.Row], flags: Sequence[rows.Row], begin: float, now: float
) -> list[ComponentTimeline]:
    """Every part that was not healthy at some time from `begin` to `now`, in seconds; the longest trouble first.

    `changes` are newest first, `flags` are those of now: what a flag says of itself counts, where a change is missing.
    """
    current = {one["component"]: one for one in flags}
    by_component: dict[str, list[rows.Row]] = {}
    for change in reversed(changes):
        by_component.setdefault(change["component"], []).append(change)
    parts = []
    for component in {**by_component, **current}:
        states = _states(by_component.get(component, []), current.get(component), begin, now)
        if states:
            status = current[component]["status"] if component in current else HEALTHY
            parts.append(ComponentTimeline(component, status, tuple(states)))
    return sorted(parts, key=lambda part: (-sum(state.width for state in part.states), part.component))


def _states(changes: list[rows.Row], flag: rows.Row | None, begin: float, now: float) -> list[TimelineState]:
    """What was wrong, one after the other."""
    found: list[TimelineState] = []
    since, open_ = begin, None
    if changes and changes[0]["kind"] != "raised":
        # It was raised before what is known here.
        open_ = changes[0]
    for change in changes:
        moment = moment_of(change["changed_at"])
        if open_ is not None:
            found.append(_state(open_, since, moment, begin, now))
        since, open_ = moment, None if change["kind"] == "cleared" else change
    if flag is not None:
        if open_ is None:
            since = moment_of(flag["since"]) if flag["since"] else since
        found.append(_state(flag, since, now, begin, now))
    elif open_ is not None:
        found.append(_state(open_, since, now, begin, now))
    return [state for state in found if state.x < WIDTH and state.width > 0]


def _state(said: rows.Row, since: float, until: float, begin: float, now: float) -> TimelineState:
    scale = WIDTH / (now - begin)
    start, end = max(since, begin), max(until, begin)
    width = max((end - start) * scale, NARROWEST) if until > begin else 0.0
    x = min((start - begin) * scale, WIDTH - NARROWEST)
    began = at(since)[5:19].replace("T", " ")
    lasted = spell_duration(max(1, round(until - since)))
    words = f"{said['status'].replace('_', ' ')}: {said['reason']} from {began} for {lasted}"
    return TimelineState(said["status"], round(x, 1), round(min(width, WIDTH - x), 1), words)


def ticks(begin: float, now: float) -> list[tuple[int, str]]:
    """Marks of the axis, and what stands there."""
    long = now - begin > SPANS["24h"]
    return [
        (round(WIDTH * part / 4), at(moment)[5:10] if long else at(moment)[11:16])
        for part in range(5)
        if (moment := begin + (now - begin) * part / 4)
    ]
