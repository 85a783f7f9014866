"""Messages of the contract with values that nobody means: what is shown of them must not fail."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

TEXTS = (
    "", "x", "\0", "\x1b[2K\x1b]0;owned\x07", "\u202egnp.exe", "\u2028", "<script>alert(1)</script>", "'\"&", "a" * 400,
    "../../etc", "{{ 7*7 }}", "%s%n", "regions/eu10", "tenants/acme/systems/core/services/api", "edge-policies/p",
    "\N{GRINNING FACE}", "\U000e0041", "\U0010ffff", "2026-01-01T00:00:00Z", "[]", "null", "9" * 400, "\n\r\t",
    "kill acme", "converged",
)  # fmt: skip
F = FieldDescriptor
RANGES = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1), F.TYPE_SINT32: (-(2**31), 2**31 - 1), F.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1), F.TYPE_SINT64: (-(2**63), 2**63 - 1), F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1), F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1), F.TYPE_FIXED64: (0, 2**64 - 1),
}  # fmt: skip
DEEPEST = 6


def extreme(kind: type[Message], chosen: random.Random, texts: Sequence[str] = (), depth: int = 0) -> Any:
    """A message with random extreme values; `texts` are added to what its texts may be, for names that fit."""
    made = kind()
    used: set[str] = set()
    for field in kind.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and (oneof.name in used or chosen.random() < 0.4):
            continue
        if oneof is not None:
            used.add(oneof.name)
        if depth > DEEPEST or chosen.random() < 0.15:
            continue
        _fill(made, field, chosen, texts, depth)
    return made


def _fill(made: Message, field: FieldDescriptor, chosen: random.Random, texts: Sequence[str], depth: int) -> None:
    target: Any = getattr(made, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for _ in range(chosen.randrange(3)):
            target[_scalar(key, chosen, texts)] = _scalar(value, chosen, texts)
    elif field.message_type is not None:
        below = GetMessageClass(field.message_type)
        if field.is_repeated:
            target.extend(extreme(below, chosen, texts, depth + 1) for _ in range(chosen.randrange(4)))
        else:
            target.CopyFrom(extreme(below, chosen, texts, depth + 1))
    elif field.is_repeated:
        target.extend(_scalar(field, chosen, texts) for _ in range(chosen.randrange(4)))
    else:
        setattr(made, field.name, _scalar(field, chosen, texts))


def _scalar(field: FieldDescriptor, chosen: random.Random, texts: Sequence[str]) -> Any:
    if field.type in RANGES:
        least, most = RANGES[field.type]
        return chosen.choice([0, 1, 2, 100, least, most, min(most, 2_000_000_000), min(most, 2**60)])
    if field.type == F.TYPE_ENUM:
        return chosen.choice([*field.enum_type.values_by_number, -1, 77, 2**31 - 1])
    if field.type == F.TYPE_BOOL:
        return chosen.random() < 0.5
    if field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
        return chosen.choice([0.0, -1.0, float("nan"), float("inf"), 1e308])
    if field.type == F.TYPE_BYTES:
        return chosen.choice([b"", b"\0\xff", b"x" * 400])
    return chosen.choice([*TEXTS, *texts, *texts])
