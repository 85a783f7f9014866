"""Times and durations, for people and for programs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Protocol

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Stamp(Protocol):
    """What a protobuf Timestamp offers here."""

    seconds: int
    nanos: int


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


def iso(stamp: Stamp) -> str | None:
    """RFC 3339 in UTC with milliseconds; None when it was never set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return _spelt(datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000))


def at(seconds: float) -> str:
    """The same of seconds since the epoch."""
    return _spelt(datetime.fromtimestamp(seconds, UTC))


def _spelt(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def age(text: str | None, now: float) -> str:
    """How long ago, in the largest unit that says something: `3s`, `2m14s`, `4h`, `12d`; `never` for None."""
    if text is None:
        return "never"
    seconds = max(0.0, now - datetime.fromisoformat(text).timestamp())
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 600:
        return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
    for unit, size, limit in (("m", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < limit:
            return f"{int(seconds) // size}{unit}"
    return f"{int(seconds) // 86_400}d"


def elapsed(seconds: float) -> str:
    """How long something took: `412 ms`, `3.2 s`, `2 min 05 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
