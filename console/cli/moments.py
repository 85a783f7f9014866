"""Times and durations, for people and for programs."""

from __future__ import annotations

import re
from datetime import datetime

from runtime.wellknown import EPOCH, Span, from_seconds, rfc3339, spelt

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float | None:
    """Seconds of `24h`, `1h30m`, `90s`, `250ms`; None when it is none."""
    if not DURATION.fullmatch(text):
        return None
    return sum(float(count) * UNITS[unit] for count, unit in PART.findall(text))


def spell_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back: 86400 is `1d`, 5400 is `1h30m`."""
    rest, parts = round(seconds * 1000), []
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(UNITS[unit] * 1000)
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def iso(stamp: Span) -> str | None:
    """RFC 3339 in UTC with milliseconds; None when it was never set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return rfc3339(stamp)


def at(seconds: float) -> str:
    """The same of seconds since the epoch."""
    return spelt(from_seconds(seconds))


def age(text: str | None, now: float) -> str:
    """How long ago, in the largest unit that says something: `3s`, `2m14s`, `4h`, `12d`; `never` for None."""
    if text is None:
        return "never"
    seconds = max(0.0, now - moment_of(text))
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 600:
        return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
    for unit, size, limit in (("m", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < limit:
            return f"{int(seconds) // size}{unit}"
    return f"{int(seconds) // 86_400}d"


def silence(text: str | None, now: float) -> str:
    """How long nothing was heard: `not heard for 3m12s`; `never heard` for None."""
    return "never heard" if text is None else f"not heard for {age(text, now)}"


def moment_of(text: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for a time that was never set."""
    return (datetime.fromisoformat(text) - EPOCH).total_seconds() if text else 0.0


def between(begin: str | None, end: str | None) -> float:
    """Seconds from one RFC 3339 time to another; 0 where one of them was never set or they are the other way round."""
    return max(0.0, moment_of(end) - moment_of(begin)) if begin and end else 0.0


def elapsed(seconds: float) -> str:
    """How long something took: `412 ms`, `3.2 s`, `2 min 05 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
