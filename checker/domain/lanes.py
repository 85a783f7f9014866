"""What a region's process says of its lanes: old work, work that fails again and again, silent hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.domain.sample import Finding, Status, healthy
from runtime.progress import NOT_PROGRESSING, does_not_move

# What a task waits for, by the beginning of its reason, with the reason that this gives here.
WAITS = (
    ("HSM", "TASKS_WAIT_FOR_HSM"),
    ("OPENBAO", "TASKS_WAIT_FOR_OPENBAO"),
    ("POLICY", "TASKS_WAIT_FOR_POLICY"),
    ("STALE_POLICY", "TASKS_WAIT_FOR_POLICY"),
)


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A task that was tried in vain."""

    task_id: str
    resource: str
    reason: str
    attempts: int
    correlation_id: str


@dataclass(frozen=True, slots=True)
class HopState:
    """One hop: seconds for which its oldest item waits, None where none does, and since when nothing has passed.

    `stuck`: its part was started again `restarts` times, and that did not help.
    """

    hop: str
    age: float | None
    idle: float
    restarts: int
    stuck: bool
    awaits: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane; times are seconds since the epoch by the region's clock, None where there is nothing."""

    lane: int
    pending: int
    oldest: float | None
    unreported: int
    heard: float | None
    accepted: float | None
    stuck: FailingTask | None
    hops: Sequence[HopState] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a task may be in the journal and a hop may be silent; tries after which a task counts as failing."""

    journal: float
    hop: float
    attempts: int


@dataclass(frozen=True, slots=True)
class KeyMismatch:
    """A key that is not, or was not a moment ago, as its record says."""

    resource: str
    reason: str
    message: str
    mended: bool


def disagreeing(keys: Sequence[KeyMismatch], found: Finding) -> Finding:
    """What the keys say, before what was found of the lanes; one that was mended says so."""
    if not keys:
        return found
    one = next((key for key in keys if not key.mended), keys[0])
    after = " It was mended from the record." if one.mended else ""
    values = (("keys", str(len(keys))), ("resource", one.resource), ("disagreement", one.reason), *found.values)
    text = f"The key of {one.resource} was not as its record says: {one.message}{after}"
    return Finding(Status.DEGRADED, "KEYS_DISAGREE", text, values, found.version)


def read(lanes: Sequence[Lane], now: float, first: float, limits: Limits, version: str) -> Finding:
    """What the lanes say at `now`; `first` is since when the process is known, from which an unheard hop counts."""
    values = tuple(value for lane in lanes for value in _values(lane, now))
    if not lanes:
        return Finding(Status.UNKNOWN, "LANES_UNTOLD", "The process serves and tells of no lane.", values, version)
    if (found := _not_moving(lanes, limits, values, version)) is not None:
        return found
    for lane in lanes:
        silent = now - (lane.heard or first)
        if silent > limits.hop:
            text = f"Lane {lane.lane} has not heard the gateway for {silent:.0f} s."
            return Finding(Status.DEGRADED, "LANE_SILENT", text, values, version)
        waited = now - max(lane.accepted or first, first)
        if lane.unreported and waited > limits.hop:
            text = f"The gateway has not taken {lane.unreported} reports of lane {lane.lane} for {waited:.0f} s."
            return Finding(Status.DEGRADED, "REPORTS_WAIT", text, values, version)
        age = now - lane.oldest if lane.oldest is not None else 0.0
        if age > limits.journal:
            text = f"{lane.pending} tasks of lane {lane.lane} are not done, the oldest for {age:.0f} s."
            return Finding(Status.DEGRADED, "JOURNAL_OLD", text, values, version)
    return healthy(*values, version=version)


def _not_moving(
    lanes: Sequence[Lane], limits: Limits, values: tuple[tuple[str, str], ...], version: str
) -> Finding | None:
    """A task that fails again and again, or a hop that starting again does not move."""
    for lane in lanes:
        if lane.stuck is not None and lane.stuck.attempts >= limits.attempts:
            return _stuck(lane.stuck, values, version)
    for lane in lanes:
        for hop in lane.hops:
            if hop.stuck:
                return _standing(lane.lane, hop, values, version)
    return None


def _values(lane: Lane, now: float) -> list[tuple[str, str]]:
    ages = (("journal_age", lane.oldest), ("heard_age", lane.heard), ("accepted_age", lane.accepted))
    found = [(f"lane_{lane.lane}.pending", str(lane.pending)), (f"lane_{lane.lane}.unreported", str(lane.unreported))]
    found += [(f"lane_{lane.lane}.{name}", f"{now - at:.1f}") for name, at in ages if at is not None]
    # A hop where nothing waits tells nothing: evidence is bounded.
    return found + [
        (f"lane_{lane.lane}.{hop.hop}", f"{hop.age:.1f} s old, idle for {hop.idle:.1f} s, {hop.restarts} restarts")
        for hop in lane.hops
        if hop.age is not None
    ]


def _standing(lane: int, hop: HopState, values: tuple[tuple[str, str], ...], version: str) -> Finding:
    text = does_not_move(f"{hop.hop} of lane {lane}", hop.age or 0.0, hop.idle)
    mine = (("hop", hop.hop), ("lane", str(lane)), ("restarts", str(hop.restarts)))
    return Finding(Status.DEGRADED, NOT_PROGRESSING, text, (*mine, *values), version)


def _stuck(stuck: FailingTask, values: tuple[tuple[str, str], ...], version: str) -> Finding:
    reason = next((reason for start, reason in WAITS if stuck.reason.startswith(start)), "TASK_FAILING")
    text = f"{stuck.resource} was tried {stuck.attempts} times in vain: {stuck.reason}."
    mine = (("task", stuck.task_id), ("attempts", str(stuck.attempts)), ("waits_for", stuck.reason))
    return Finding(Status.DEGRADED, reason, text, (*mine, *values), version, stuck.correlation_id)
