"""Messages with one bad value each, made from their descriptors: every field, at every depth, of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runtime.content import LONGEST_TEXT

TEXTS = ["a\0b", "\x1b[2K", "\x7f", "\x85", "\u202e", "\r", "x" * (LONGEST_TEXT + 1)]
VALUES: dict[int, list[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_UINT64: [2**63, 2**64 - 1],
    FieldDescriptor.TYPE_UINT32: [2**31, 2**32 - 1],
    FieldDescriptor.TYPE_ENUM: [100_000, -1, 2**31 - 1],
    FieldDescriptor.TYPE_DOUBLE: [float("nan"), float("inf")],
}
TIMES = [(2**60, 0), (-(2**60), 0), (253_402_300_800, 0), (-62_135_596_801, 0), (0, 2_000_000_000), (0, -1)]
SPANS = [(2**60, 0), (-(2**60), 0), (0, 2_000_000_000), (1, -1), (-1, 1)]
# What messages hold of one another is walked this deep, and a repeated field's second item is the bad one.
DEPTH = 5


def poisoned(descriptor: Descriptor) -> Iterator[tuple[str, Message]]:
    """(where, message) for every bad value in every field of a message type."""
    for path in _paths(descriptor, DEPTH):
        for value in _bad(path[-1]):
            message = GetMessageClass(descriptor)()
            where = _put(message, path, value)
            yield where, message


def _paths(descriptor: Descriptor, depth: int) -> Iterator[tuple[FieldDescriptor, ...]]:
    for field in descriptor.fields:
        inner = field.message_type
        if _bad(field):
            yield (field,)
        elif inner is not None and depth and not inner.GetOptions().map_entry:
            for rest in _paths(inner, depth - 1):
                yield (field, *rest)


def _bad(field: FieldDescriptor) -> list[Any]:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            return [(bad, None) for bad in _bad(key)] + [(None, bad) for bad in _bad(value)]
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return TIMES
        return SPANS if field.message_type.full_name == "google.protobuf.Duration" else []
    return VALUES.get(field.type, [])


def _put(message: Any, path: tuple[FieldDescriptor, ...], value: Any) -> str:
    where = ""
    for field in path[:-1]:
        held = getattr(message, field.name)
        if field.is_repeated:
            held.add()
            message, name = held.add(), f"{field.name}[1]"
        else:
            held.SetInParent()
            message, name = held, field.name
        where = f"{where}.{name}" if where else name
    field = path[-1]
    held = getattr(message, field.name)
    name = field.name
    if isinstance(value, tuple) and field.message_type.GetOptions().map_entry:  # type: ignore[union-attr]
        key, given = value
        good: Any = "a"
        held[good if key is None else key] = good if given is None else given
        name += " (a key)" if given is None else " (a value)"
    elif isinstance(value, tuple):
        span = held.add() if field.is_repeated else held
        span.seconds, span.nanos = value
        name += "[0]" if field.is_repeated else ""
    elif field.is_repeated:
        held.append(value)
        name += "[0]"
    else:
        setattr(message, field.name, value)
    return f"{where}.{name}" if where else name
