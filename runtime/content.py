"""Checks of what a message holds, by its descriptor: text, numbers and times that every store and terminal can take.

What a contract says beyond that is checked where it is known. What has passed here can be stored, shown and converted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from runtime.errors import Invalid

# Longer than any text that a contract has; each has its own, shorter limit where it is used.
LONGEST_TEXT = 16_384
# PostgreSQL has no unsigned numbers.
MOST_64, MOST_32 = 2**63 - 1, 2**31 - 1
# The years 1 to 9999, which a calendar has; and what a protobuf Duration may be.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
LONGEST_SECONDS = 315_576_000_000  # ten thousand years: what a calendar has
NANOS = 1_000_000_000
# NUL, which PostgreSQL refuses, and all that steers a terminal; a tab and a new line are text.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Check = Callable[[Any, str], None]
_find = CONTROL.search


class _Checks:
    """What checks each field of every contract, made once; `known`: whether an enumeration's value must have a name."""

    def __init__(self, *, known: bool) -> None:
        self._known = known
        self._made: dict[FieldDescriptor, Check] = {}

    def check(self, message: Message, path: str = "") -> None:
        for field, value in message.ListFields():
            check = self._made.get(field)
            if check is None:
                check = self._made[field] = self._of(field)
            if check is not _pass:
                check(value, path)

    def _of(self, field: FieldDescriptor) -> Check:
        one, name = self._of_one(field), field.name
        if one is _pass:
            return _pass
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return self._of_map(field)
        if field.is_repeated:

            def check_all(values: Any, path: str) -> None:
                where = f"{path}.{name}" if path else name
                for index, value in enumerate(values):
                    one(value, f"{where}[{index}]")

            return check_all
        return lambda value, path: one(value, f"{path}.{name}" if path else name)

    def _of_map(self, field: FieldDescriptor) -> Check:
        assert field.message_type is not None
        entry = field.message_type.fields_by_name
        key, value, name = self._of_one(entry["key"]), self._of_one(entry["value"]), field.name

        def check_map(values: Any, path: str) -> None:
            where = f"{path}.{name}" if path else name
            for each, held in values.items():
                # The key is the sender's: it is no part of where it stands.
                key(each, f"{where} (a key)")
                value(held, f"{where} (a value)")

        return check_map

    def _of_one(self, field: FieldDescriptor) -> Check:
        kind = field.type
        if kind == FieldDescriptor.TYPE_MESSAGE:
            assert field.message_type is not None
            return _MESSAGES.get(field.message_type.full_name, self.check)
        if kind == FieldDescriptor.TYPE_ENUM:
            return _check_of_enum(field) if self._known else _pass
        return _SCALARS.get(kind, _pass)


def check_content(message: Message, path: str = "") -> None:
    """Raise Invalid, naming the field, on text, a number, a time or an enumeration's value that cannot be kept."""
    _KNOWN.check(message, path)


def check_storable(message: Message, path: str = "") -> None:
    """The same, but for enumerations: a newer sender's value is kept, and whoever acts on it says what it cannot do."""
    _ANY.check(message, path)


def _check_of_enum(field: FieldDescriptor) -> Check:
    assert field.enum_type is not None
    known = frozenset(field.enum_type.values_by_number)

    def check_enum(value: int, path: str) -> None:
        if value not in known:
            raise Invalid(
                f"{path} is {value}; expected {min(known)} to {max(known)}", reason="UNKNOWN_VALUE", field=path
            )

    return check_enum


def _pass(_value: Any, _path: str) -> None:
    """Whatever it is, it can be kept."""


def _check_text(value: str, path: str) -> None:
    if len(value) > LONGEST_TEXT:
        raise Invalid(
            f"{path} has {len(value)} characters; expected at most {LONGEST_TEXT}", reason="INVALID_LENGTH", field=path
        )
    # Most text has nothing but printable characters, which is found out faster.
    if value.isprintable():
        return
    found = _find(value)
    if found:
        raise Invalid(
            f"{path} holds the control character U+{ord(found.group()):04X} at position {found.start()}",
            reason="INVALID_TEXT",
            field=path,
        )


def _check_unsigned_64(value: int, path: str) -> None:
    if value > MOST_64:
        raise Invalid(f"{path} is {value}; expected at most {MOST_64}", reason="OUT_OF_RANGE", field=path)


def _check_unsigned_32(value: int, path: str) -> None:
    if value > MOST_32:
        raise Invalid(f"{path} is {value}; expected at most {MOST_32}", reason="OUT_OF_RANGE", field=path)


def _check_float(value: float, path: str) -> None:
    if not math.isfinite(value):
        raise Invalid(f"{path} is {value}, which is no number", reason="OUT_OF_RANGE", field=path)


def _check_timestamp(value: Any, path: str) -> None:
    if not FIRST_SECOND <= value.seconds <= LAST_SECOND or not 0 <= value.nanos < NANOS:
        raise Invalid(f"{path} is no time between the years 1 and 9999", reason="INVALID_TIME", field=path)


def _check_duration(value: Any, path: str) -> None:
    seconds, nanos = value.seconds, value.nanos
    if abs(seconds) > LONGEST_SECONDS or abs(nanos) >= NANOS or seconds * nanos < 0:
        raise Invalid(f"{path} is no duration of at most 10,000 years", reason="INVALID_TIME", field=path)


_SCALARS: dict[int, Check] = {
    FieldDescriptor.TYPE_STRING: _check_text,
    FieldDescriptor.TYPE_UINT64: _check_unsigned_64,
    FieldDescriptor.TYPE_FIXED64: _check_unsigned_64,
    FieldDescriptor.TYPE_UINT32: _check_unsigned_32,
    FieldDescriptor.TYPE_FIXED32: _check_unsigned_32,
    FieldDescriptor.TYPE_FLOAT: _check_float,
    FieldDescriptor.TYPE_DOUBLE: _check_float,
}
_MESSAGES: dict[str, Check] = {
    "google.protobuf.Timestamp": _check_timestamp,
    "google.protobuf.Duration": _check_duration,
}
_KNOWN, _ANY = _Checks(known=True), _Checks(known=False)
