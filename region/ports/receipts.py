"""What a receipt needs from outside: a key that signs, and what the region's OpenBao wrote down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class Signer(Protocol):
    """The region's own signing key; it never leaves OpenBao."""

    async def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    async def sign(self, message: bytes) -> bytes:
        """ECDSA P-256 with SHA-256, DER; raises Unavailable when OpenBao cannot."""

    async def request(self, subject: str) -> bytes:
        """A certificate signing request (PKCS#10, DER), signed by the key."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in the audit log: of which file, and how far in it."""

    file: int
    offset: int


@dataclass(frozen=True, slots=True)
class AuditRecords:
    """How many records there are, and the SHA-256 of their lines."""

    records: int
    sha256: bytes


class Audit(Protocol):
    """The audit log of the region's OpenBao."""

    async def mark(self) -> LogPosition | None:
        """Where the log ends now; None when this region keeps its log elsewhere."""

    async def records(self, mark: LogPosition, attempt: str) -> AuditRecords:
        """The records of that attempt since the mark; raises Unavailable when the log cannot be read."""
