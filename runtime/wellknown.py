"""Times, durations and enumerations of messages, as plain values.

Whatever another party sent is read: a time that no calendar has becomes the nearest that one has, an enumeration's
number that has no name becomes the number. Where a wrong value must be refused, that is checked when it arrives.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
_FIRST_SECOND = (FIRST - EPOCH) // timedelta(seconds=1)
_LAST_SECOND = (LAST - EPOCH) // timedelta(seconds=1)
_NANOS = 999_999_999


class Span(Protocol):
    """What a protobuf Timestamp and a Duration offer here."""

    seconds: int
    nanos: int


def utc(stamp: Span) -> datetime:
    """A Timestamp as a time in UTC, within the years 1 to 9999."""
    if stamp.seconds < _FIRST_SECOND:
        return FIRST
    if stamp.seconds > _LAST_SECOND:
        return LAST
    return EPOCH + timedelta(seconds=stamp.seconds, microseconds=_nanos(stamp) // 1000)


def from_seconds(seconds: float) -> datetime:
    """Seconds since the epoch as a time in UTC, within the years 1 to 9999."""
    if not seconds > _FIRST_SECOND:
        return FIRST
    return LAST if seconds > _LAST_SECOND else EPOCH + timedelta(seconds=seconds)


def rfc3339(stamp: Span) -> str:
    """A Timestamp as text to the millisecond, in UTC: `2026-01-31T08:15:00.250Z`."""
    return spelt(utc(stamp))


def spelt(moment: datetime) -> str:
    """A time in UTC as text to the millisecond."""
    # strftime takes several times as long, and a page may show tens of thousands.
    day = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    return f"{day}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}.{moment.microsecond // 1000:03d}Z"


def exact(stamp: Span) -> str:
    """A Timestamp as protobuf's JSON writes it: with as many digits as it has, in groups of three."""
    nanos = _nanos(stamp)
    text = spelt(utc(stamp)).partition(".")[0]
    if not nanos:
        return f"{text}Z"
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z"


def seconds(span: Span) -> float:
    """A Timestamp or a Duration in seconds."""
    return span.seconds + span.nanos * 1e-9


def micros(span: Span) -> int:
    """A Timestamp or a Duration in microseconds, rounded down."""
    return span.seconds * 1_000_000 + span.nanos // 1_000


def label(enum: Any, value: int, prefix: str = "") -> str:
    """The name of an enumeration's value without its prefix; the number itself where it has none."""
    known = enum.DESCRIPTOR.values_by_number.get(value)
    return str(known.name).removeprefix(prefix) if known is not None else str(value)


def _nanos(span: Span) -> int:
    return min(max(span.nanos, 0), _NANOS)
