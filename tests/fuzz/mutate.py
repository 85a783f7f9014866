"""Messages made from their descriptors, and then spoilt: all of it drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from orbital.v1.audit_pb2 import AuditHead
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt

TENANT = "fuzzed"
REGION = "eu10"

HONEST: dict[str, Any] = {
    "tenant": TENANT,
    "system": "s0",
    "service": "v0",
    "link": "s0",
    "region": REGION,
    "resource": f"tenants/{TENANT}/systems/s0",
    "name": f"tenants/{TENANT}",
    "names": f"tenants/{TENANT}/systems/s0",
    "provider": "hsm",
    "reason": "A_REASON",
    "component": "openbao",
    "lane": 1,
    "credit": 8,
    "page_size": 5,
    "generation": 1,
    "observed_generation": 1,
    "seconds": 1_790_000_000,
    "nanos": 0,
}
# Of what ends something: everybody else goes on.
SPARE = "spare"
ENDING = HONEST | {
    "tenant": SPARE,
    "region": SPARE,
    "resource": f"tenants/{SPARE}/systems/s0",
    "name": f"tenants/{SPARE}",
    "names": f"tenants/{SPARE}/systems/s0",
}
TEXTS = (
    "",
    "\0",
    "a\0b",
    "\x1b]0;owned\x07\x1b[2K",
    "\r\n\r\nHTTP/1.1 200 OK",
    "\u202eevil",
    "../../../etc/passwd",
    "' OR 1=1; --",
    "%s%n${jndi:ldap://x}",
    "tenants/" * 40,
    "regions/eu10",
    "spiffe://orbital/person/operator",
    "x" * 70_000,
    "\U0010ffff" * 300,
    "a" * 64,
    "-",
    " ",
)
WHOLE = (0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 100_000)
PACKED = (b"", b"\0", b"\xff" * 32, b"x" * 70_000, b"\x08\x96\x01", b"{}")
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
DEEPEST = 6
# Which messages are kept in a field of bytes.
PACKED_IN: dict[str, type[Message]] = {
    "orbital.v1.Report.receipt": SignedReceipt,
    "orbital.v1.SignedReceipt.receipt": Receipt,
    "orbital.v1.SignedAuditHead.head": AuditHead,
}


def message_class(descriptor: Descriptor) -> type[Message]:
    """The class of messages of this type."""
    return message_factory.GetMessageClass(descriptor)


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


class Mutator:
    """Makes honest messages and spoils them; the same seed makes the same messages."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        # What a field of this name holds in an honest message.
        self.named = HONEST

    def honest(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """A message of this type, as well filled as its fields' names allow."""
        message = message_class(descriptor)()
        chosen = {self.random.choice(list(group.fields)).name for group in descriptor.oneofs if group.fields}
        for field in descriptor.fields:
            if field.containing_oneof and field.name not in chosen:
                continue
            if field.message_type is not None and depth >= DEEPEST:
                continue
            self._fill(message, field, depth)
        return message

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if is_map(field):
            return
        if field.message_type is not None:
            made = self.honest(field.message_type, depth + 1)
            if field.is_repeated:
                getattr(message, field.name).add().CopyFrom(made)
            else:
                getattr(message, field.name).CopyFrom(made)
            return
        value = self._plain(field)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)

    def _plain(self, field: FieldDescriptor) -> Any:
        """An honest value of a field that is no message."""
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self._honest_text(field)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self.random.random() < 0.5
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return self.random.choice(field.enum_type.values).number
        if kind in RANGES:
            return int(self.named.get(field.name, self.random.randrange(1, 4)))
        return self.random.random()

    def _honest_text(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._honest_bytes(field)
        if field.name.endswith("_id") or field.name == "id":
            return f"{self.random.getrandbits(128):032x}"
        return str(self.named.get(field.name, "word"))

    def _honest_bytes(self, field: FieldDescriptor) -> bytes:
        """Of what is a message inside a message, one that is spoilt inside."""
        inner = PACKED_IN.get(field.full_name)
        if inner is None:
            return self.random.randbytes(16)
        made = self.spoilt(self.honest(inner.DESCRIPTOR))
        return bytes(made.SerializeToString())

    def spoilt(self, message: Message) -> Message:
        """The message with one to three of its fields, at any depth, made hostile."""
        for _ in range(self.random.randrange(1, 4)):
            places = list(_places(message))
            if not places:
                return message
            self._spoil(*self.random.choice(places))
        return message

    def _spoil(self, message: Message, field: FieldDescriptor) -> None:
        if field.is_repeated:
            self._spoil_list(message, field)
        elif field.message_type is not None:
            message.ClearField(field.name)
            if self.random.random() < 0.5:
                getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, self._hostile(field))

    def _spoil_list(self, message: Message, field: FieldDescriptor) -> None:
        if is_map(field):
            if field.message_type.fields_by_name["value"].cpp_type == FieldDescriptor.CPPTYPE_STRING:
                getattr(message, field.name)[self.random.choice(TEXTS)] = self.random.choice(TEXTS)
            return
        items = getattr(message, field.name)
        if not len(items) or self.random.random() < 0.3:
            message.ClearField(field.name)
        elif field.message_type is not None:
            items.extend([items[0]] * self.random.choice((1, 70, 600)))
        else:
            items.extend([self._hostile(field) for _ in range(self.random.choice((1, 3, 600)))])

    def _hostile(self, field: FieldDescriptor) -> Any:
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self.random.choice(PACKED if field.type == FieldDescriptor.TYPE_BYTES else TEXTS)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self.random.random() < 0.5
        if kind in RANGES:
            least, most = RANGES[kind]
            return self.random.choice([number for number in WHOLE if least <= number <= most])
        return self.random.choice((0.0, -1.0, float("inf"), float("nan"), 1e308))

    def packed(self, descriptor: Descriptor) -> bytes:
        """The bytes of a spoilt message; now and then spoilt as bytes too."""
        made = self.honest(descriptor)
        content = (made if self.random.random() < 0.2 else self.spoilt(made)).SerializeToString()
        draw = self.random.random()
        if draw < 0.06:
            return content[: self.random.randrange(len(content) + 1)]
        if draw < 0.12:
            return self.bent(content)
        if draw < 0.16:
            return content + b"\xfa\x06\x01\x78"
        return content

    def bent(self, content: bytes) -> bytes:
        """The bytes with some of them changed."""
        bent = bytearray(content)
        for _ in range(self.random.randrange(1, 6)):
            if bent:
                bent[self.random.randrange(len(bent))] = self.random.randrange(256)
        return bytes(bent)

    def text(self) -> str:
        """A hostile text."""
        return self.random.choice(TEXTS)

    def value(self, depth: int = 0) -> Any:
        """A JSON value that nobody expects."""
        makers: list[Callable[[], Any]] = [
            self.text,
            lambda: self.random.choice(WHOLE),
            lambda: None,
            lambda: True,
            lambda: 1.5,
        ]
        if depth < 3:
            makers += [
                lambda: [self.value(depth + 1) for _ in range(self.random.randrange(3))],
                lambda: {self.text()[:40]: self.value(depth + 1) for _ in range(self.random.randrange(3))},
            ]
        return self.random.choice(makers)()


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """Every field of the message and of the messages in it."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None or is_map(field):
            continue
        if field.is_repeated:
            for item in list(getattr(message, field.name))[:3]:
                yield from _places(item)
        elif message.HasField(field.name):
            yield from _places(getattr(message, field.name))
