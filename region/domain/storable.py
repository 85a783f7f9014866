"""Whether what the control plane sent can be kept: every number and text of a task within what a database holds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from runtime.errors import Invalid

INVALID_TASK = "INVALID_TASK"
# SQLite keeps signed 64-bit integers; the end of the year 9999 is the last time that a calendar has.
MOST_INTEGER = 2**63 - 1
LAST_SECOND = 253_402_300_799
MOST_NANOS = 999_999_999  # a second has no more
LONGEST_TEXT = 65_536  # bytes; no text of the contract comes near it
DEEPEST = 32
TIMES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
_CONTROL = frozenset(map(chr, [*range(32), 127])) - frozenset("\t\n\r")
_UNSIGNED = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64}


def check_storable(message: Message, where: str = "task") -> None:
    """Raise Invalid naming the field that no database or calendar holds: too large, too long, with control characters.

    The whole message is looked at, whatever its type, unknown fields aside.
    """
    _check(message, where, 0)


@cache
def _is_checked(kind: Descriptor) -> frozenset[str]:
    """The fields of a type that can be out of range."""
    return frozenset(
        field.name
        for field in kind.fields
        if field.type in _UNSIGNED or field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}
    )


def _check(message: Message, where: str, depth: int) -> None:
    kind = message.DESCRIPTOR
    if depth > DEEPEST:
        raise _wrong(where, "is nested too deeply")
    if kind.full_name in TIMES:
        _check_time(message, where)
        return
    checked = _is_checked(kind)
    for field, value in message.ListFields():
        if field.name not in checked:
            continue
        at = f"{where}.{field.name}"
        for each in _values(field, value):
            if isinstance(each, Message):
                _check(each, at, depth + 1)
            elif isinstance(each, str):
                _check_text(each, at)
            elif isinstance(each, int) and each > MOST_INTEGER:
                raise _wrong(at, f"is {each}, which is above {MOST_INTEGER}")


def _values(field: FieldDescriptor, value: Any) -> Iterable[object]:
    """The single values of a field: of a map its keys and its values."""
    if not field.is_repeated:
        return (value,)
    if hasattr(value, "items"):
        return (each for pair in value.items() for each in pair)
    values: Iterable[object] = value
    return values


def _check_time(message: Message, where: str) -> None:
    seconds, nanos = int(getattr(message, "seconds", 0)), int(getattr(message, "nanos", 0))
    if abs(seconds) > LAST_SECOND or abs(nanos) > MOST_NANOS:
        raise _wrong(where, "is no time that a calendar has")


def _check_text(text: str, where: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise _wrong(where, f"has {len(text)} characters; at most {LONGEST_TEXT} are kept")
    if not text.isprintable() and not _CONTROL.isdisjoint(text):
        raise _wrong(where, "has control characters")


def _wrong(where: str, what: str) -> Invalid:
    return Invalid(f"{where} {what}", reason=INVALID_TASK, field=where)
