"""How an L4 key looks when it is wrapped by an L3: format, L3 version, nonce, AES-256-GCM ciphertext with its tag."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from runtime.errors import Invalid

FORMAT = 1
NONCE = 12
TAG = 16
_HEADER = struct.Struct(">BI12s")
_PREFIX = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A wrapped L4, taken apart; `sealed` includes the tag."""

    version: int
    nonce: bytes
    sealed: bytes

    def header(self) -> bytes:
        """What precedes the sealed bytes; it is authenticated with them."""
        return _HEADER.pack(FORMAT, self.version, self.nonce)


def unpack(ciphertext: bytes) -> Envelope:
    """Take a ciphertext apart; raises Invalid when it is not one."""
    if len(ciphertext) <= _HEADER.size + TAG:
        raise Invalid("ciphertext is too short to be one", reason="INVALID_CIPHERTEXT", field="ciphertext")
    form, version, nonce = _HEADER.unpack_from(ciphertext)
    if form != FORMAT:
        raise Invalid(f"ciphertext has the unknown format {form}", reason="INVALID_CIPHERTEXT", field="ciphertext")
    return Envelope(version, nonce, ciphertext[_HEADER.size :])


def prefix(version: int) -> bytes:
    """How every envelope of that version begins; its nonce follows."""
    return _PREFIX.pack(FORMAT, version)


def bound(resource: str) -> bytes:
    """What every L4 of a Service is bound to: its name. The header and what the caller gave follow."""
    name = resource.encode()
    return b"".join((b"orbital/l4/1", struct.pack(">I", len(name)), name))


def associated(resource: str, header: bytes, caller: bytes) -> bytes:
    """What is authenticated beside the key: the Service's name, the header, and what the caller gave."""
    return b"".join((bound(resource), header, caller))
