"""Checks of what arrives from outside, each naming the field."""

from __future__ import annotations

import re

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from runtime.errors import Invalid

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_known(message: Message, path: str = "") -> None:
    """Raise Invalid on a field that the contract does not have, naming its number and where it stands."""
    # Without any it is not taken apart: the runtime drops them from a copy faster than we would look for them.
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        _name_unknown(message, path)


def _name_unknown(message: Message, path: str) -> None:
    unknown = UnknownFieldSet(message)
    if len(unknown):
        where = path or message.DESCRIPTOR.name
        raise Invalid(
            f"{where} has an unknown field with number {unknown[0].field_number}",
            reason="UNKNOWN_FIELD",
            field=f"{path}[{unknown[0].field_number}]" if path else f"[{unknown[0].field_number}]",
        )
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE or _is_map(field):
            continue
        here = f"{path}.{field.name}" if path else field.name
        if field.is_repeated:
            for index, item in enumerate(value):
                _name_unknown(item, f"{here}[{index}]")
        else:
            _name_unknown(value, here)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def check_name(value: str, field: str) -> str:
    """`value`, if it is a name segment: 1 to 63 of a-z, 0-9 and -, not beginning or ending with -."""
    if not NAME.fullmatch(value):
        raise Invalid(
            f"{field} is {value!r}; expected 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
            reason="INVALID_NAME",
            field=field,
        )
    return value


def check_length(size: int, least: int, most: int, field: str, unit: str = "characters") -> None:
    """Raise Invalid unless least <= size <= most."""
    if not least <= size <= most:
        raise Invalid(f"{field} has {size} {unit}; expected {least} to {most}", reason="INVALID_LENGTH", field=field)
