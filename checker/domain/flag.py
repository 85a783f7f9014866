"""From windows to flags: what is wrong, why, since when, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import IntEnum

from checker.domain.cause import CAUSE_RULES, CLOCK_OFFSET, EDGE_AWAY, FLAPPING, CauseRule
from checker.domain.sample import BADNESS, Finding, Status, worst
from checker.domain.window import Rule, Window, status

# A consequence is noticed at most so long before its cause, in seconds.
AHEAD = 5.0


class Severity(IntEnum):
    """How urgent, in the contract's numbers."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


SEVERITIES = {
    Status.DEGRADED: Severity.WARNING,
    Status.UNKNOWN: Severity.WARNING,
    Status.OUT_OF_SYNC: Severity.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One value behind a flag."""

    name: str
    value: str
    at: float


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that is not as it should be. Times are seconds since the epoch."""

    component: str
    status: Status
    severity: Severity
    reason: str
    message: str
    evidence: tuple[Evidence, ...]
    since: float
    next_check: float
    correlation_id: str = ""
    consequences: tuple[str, ...] = ()


STALE = "EVIDENCE_STALE"
UNSEEN = "NOT_CHECKED_YET"
POLICY = "policy"


def judge(
    windows: Mapping[str, Window], policy: Window, next_checks: Mapping[str, float], now: float, rule: Rule
) -> list[Flag]:
    """The flags that the windows support at `now`, the worst first; `policy` is about the asking itself.

    While policy does not let anything be looked at, everything behind it is unknown for that one reason.
    """
    found = [
        flag
        for component, window in windows.items()
        if (flag := _flag(window, next_checks.get(component, now), now, rule)) is not None
    ]
    asking = _flag(policy, now, now, rule)
    if asking is not None and asking.reason != UNSEEN:
        troubled = {name for name, window in windows.items() if _was_bad(window)}
        return _behind_policy(asking, found, troubled)
    return sorted(fold(found), key=_order)


def fold(flags: Iterable[Flag], folds: Sequence[CauseRule] = CAUSE_RULES) -> list[Flag]:
    """The flags with each effect beneath its cause. One is hidden only if its cause is shown, by itself or folded."""
    left = {flag.component: flag for flag in flags}
    beneath: dict[str, str] = {}
    for each in folds:
        cause, effect = left.get(each.cause), left.get(each.effect)
        if cause is None or effect is None or each.effect in beneath or not _explains(cause, effect):
            continue
        # Of two that explain each other the one that was found first is the cause.
        circular = _top(each.cause, beneath) == each.effect
        if not circular and effect.reason in each.reasons and effect.since >= cause.since - AHEAD:
            beneath[each.effect] = each.cause
    shown = {name: flag for name, flag in left.items() if name not in beneath}
    for name, cause_name in sorted(beneath.items()):
        hidden, top = left[name], _top(cause_name, beneath)
        lines = (f"{hidden.component}: {hidden.reason}", *hidden.consequences)
        shown[top] = replace(shown[top], consequences=(*shown[top].consequences, *lines))
        if shown[top].reason == CLOCK_OFFSET:
            # A clock by itself is a nuisance; it is as bad as what follows from it.
            state = worst([shown[top].status, hidden.status])
            shown[top] = replace(shown[top], status=state, severity=SEVERITIES[state])
    return list(shown.values())


def _top(name: str, beneath: Mapping[str, str]) -> str:
    while name in beneath:
        name = beneath[name]
    return name


def region_status(flags: Iterable[Flag]) -> Status:
    """The status of the whole region."""
    return worst([flag.status for flag in flags])


def _explains(cause: Flag, effect: Flag) -> bool:
    """Only what is down explains what is down with it; an edge's sidecar may be, and its region only degraded."""
    if cause.status is Status.OUT_OF_SYNC or cause.reason == CLOCK_OFFSET:
        return True
    return cause.reason == EDGE_AWAY and effect.status is cause.status


def _behind_policy(asking: Flag, found: Sequence[Flag], troubled: AbstractSet[str]) -> list[Flag]:
    """What was known to be wrong before stays a flag of its own: policy's absence did not cause it."""
    hidden = [flag for flag in found if flag.reason in (STALE, UNSEEN) and flag.component not in troubled]
    own = [flag for flag in found if flag not in hidden]
    lines = tuple(sorted(f"{flag.component}: {flag.reason}" for flag in hidden))
    return [replace(asking, consequences=lines), *sorted(fold(own), key=_order)]


def _flag(window: Window, next_check: float, now: float, rule: Rule) -> Flag | None:
    state = status(window, now, rule)
    if state is Status.UNKNOWN and (window.finding is None or window.finding.status is not Status.UNKNOWN):
        return _unknown(window, next_check, now, rule)
    finding = window.finding
    if window.flapping:
        seen = window.worst or finding
        assert seen is not None
        text = f"It comes and goes: {len(window.changes)} changes in {rule.flap_seconds:.0f} s. Last: {seen.message}"
        count = ("changes", str(len(window.changes)))
        seen = replace(seen, reason=FLAPPING, message=text, values=(*seen.values, count))
        return _made(window, Status.DEGRADED, seen, window.flapping_since, next_check)
    if finding is None or state is Status.HEALTHY:
        return None
    return _made(window, state, finding, window.since, next_check)


def _unknown(window: Window, next_check: float, now: float, rule: Rule) -> Flag:
    if window.last is None or window.finding is None:
        finding = Finding(Status.UNKNOWN, UNSEEN, f"{window.component} has not been checked yet.")
        return _made(window, Status.UNKNOWN, finding, now, next_check)
    before = window.finding
    was = before.status.name.replace("_", " ").lower() + (f" ({before.reason})" if before.reason else "")
    text = f"No fresh evidence about {window.component} for {now - window.last.at:.0f} s; before that it was {was}."
    finding = Finding(Status.UNKNOWN, STALE, text, before.values)
    return _made(window, Status.UNKNOWN, finding, window.last.at + rule.stale, next_check)


def _made(window: Window, state: Status, finding: Finding, since: float, next_check: float) -> Flag:
    at = window.last.at if window.last else since
    evidence = tuple(Evidence(name, value, at) for name, value in finding.values)
    return Flag(
        window.component,
        state,
        SEVERITIES[state],
        finding.reason,
        finding.message,
        evidence,
        since,
        next_check,
        finding.correlation_id,
    )


def _was_bad(window: Window) -> bool:
    return window.flapping or (window.finding is not None and window.finding.status is not Status.HEALTHY)


def _order(flag: Flag) -> tuple[int, float, str]:
    return (-BADNESS.index(flag.status), flag.since, flag.component)
