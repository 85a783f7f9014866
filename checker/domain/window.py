"""A component's recent samples, and the status that they support: it changes only on evidence in a row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from checker.domain.cause import causes
from checker.domain.sample import Finding, Sample, Status


@dataclass(frozen=True, slots=True)
class Rule:
    """How much evidence a change needs. Times in seconds."""

    raise_after: int = 2
    clear_after: int = 2
    # Without a newer sample than this, nothing is known.
    stale: float = 5.0
    # So many changes between healthy and not within so long are flapping; fewer than two end it. What other parts
    # explain is counted for each reason by itself: whoever suffers from several of them in turn does not flap itself.
    flap_changes: int = 5
    flap_seconds: float = 40.0


@dataclass(frozen=True, slots=True)
class Window:
    """`finding` is the confirmed one, None before the first sample; `since` is when its status began."""

    component: str
    finding: Finding | None = None
    since: float = 0.0
    last: Sample | None = None
    # Samples in a row whose status and reason differ from the confirmed ones, and when the first of them was taken.
    differing: int = 0
    differing_since: float = 0.0
    # When it changed between healthy and not, and the trouble that came or went: see _trouble.
    changes: tuple[tuple[float, str], ...] = ()
    flapping: bool = False
    flapping_since: float = 0.0
    # Confirmed findings that were not healthy, for the message while it flaps.
    worst: Finding | None = field(default=None)


def observe(window: Window, sample: Sample, rule: Rule) -> Window:
    """The window after one more sample, which must not be older than the last; an older one changes nothing."""
    if window.last is not None and sample.at < window.last.at:
        return window
    seen = replace(window, last=sample)
    if seen.finding is None:
        return _first(seen, sample, rule)
    if _same(seen.finding, sample.finding):
        return _flap(replace(seen, finding=sample.finding, differing=0), sample.at, rule)
    begun = seen.differing_since if seen.differing else sample.at
    seen = replace(seen, differing=seen.differing + 1, differing_since=begun)
    needed = rule.clear_after if sample.finding.status is Status.HEALTHY else rule.raise_after
    if seen.differing < needed:
        return _flap(seen, sample.at, rule)
    return _flap(_confirm(seen, sample.finding, begun), sample.at, rule)


def status(window: Window, now: float, rule: Rule) -> Status:
    """The status that the samples support at `now`: never healthy without a fresh one."""
    if window.finding is None or window.last is None or now - window.last.at > rule.stale:
        return Status.UNKNOWN
    return window.finding.status


def _same(one: Finding, other: Finding) -> bool:
    return one.status is other.status and one.reason == other.reason


def _first(window: Window, sample: Sample, rule: Rule) -> Window:
    """Health is believed at once where nothing speaks against it; what is wrong has to be seen again."""
    if sample.finding.status is Status.HEALTHY:
        return replace(window, finding=sample.finding, since=sample.at, differing=0)
    begun = window.differing_since if window.differing else sample.at
    window = replace(window, differing=window.differing + 1, differing_since=begun)
    if window.differing < rule.raise_after:
        return window
    return replace(window, finding=sample.finding, since=begun, differing=0, worst=sample.finding)


def _confirm(window: Window, finding: Finding, begun: float) -> Window:
    before = window.finding
    crossed = before is None or (before.status is Status.HEALTHY) != (finding.status is Status.HEALTHY)
    return replace(
        window,
        finding=finding,
        # Another reason for the same trouble does not make it younger.
        since=begun if crossed else window.since,
        differing=0,
        changes=(*window.changes, (begun, _trouble(window.component, before, finding))) if crossed else window.changes,
        worst=window.worst if finding.status is Status.HEALTHY else finding,
    )


def _trouble(component: str, before: Finding | None, after: Finding) -> str:
    """The reason where another part explains it; whatever is its own is one trouble."""
    reason = after.reason or (before.reason if before is not None else "")
    return reason if causes(component, reason) else ""


def _flap(window: Window, now: float, rule: Rule) -> Window:
    recent = tuple((at, trouble) for at, trouble in window.changes if now - at <= rule.flap_seconds)
    most = max(Counter(trouble for _at, trouble in recent).values(), default=0)
    flapping = most >= rule.flap_changes or (window.flapping and len(recent) >= 2)
    since = window.flapping_since if window.flapping else (recent[0][0] if recent else now)
    return replace(window, changes=recent, flapping=flapping, flapping_since=since)
