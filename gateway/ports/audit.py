"""What the audit trail needs: where its records are, and somebody who signs its heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orbital.v1.audit_pb2 import AuditRecord, SignedAuditHead


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The chain's last record."""

    sequence: int
    hash: bytes


class AuditStore(Protocol):
    """The trail."""

    async def seal(self, most: int) -> int:
        """Chain up to `most` records to the end, and give how many; 0 where another gateway is at it."""

    async def end(self) -> ChainEnd:
        """The chain's end."""

    async def keep_head(self, sequence: int, signed: SignedAuditHead) -> None:
        """Keep a signed head; the first one of a record stays."""

    async def newest_head(self) -> SignedAuditHead | None:
        """The newest signed head."""

    async def page(self, after: int, most: int) -> Sequence[AuditRecord]:
        """The records after that one, in order."""

    async def heads(self, after: int, last: int) -> Sequence[SignedAuditHead]:
        """The signed heads of the records after one and up to another."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature by the gateway's own key, and what leads from it to the authority."""

    key_id: bytes
    signature: bytes
    certificates: Sequence[bytes]


class HeadSigner(Protocol):
    """The gateway's own key."""

    @property
    def can_sign(self) -> bool:
        """Whether this process has the key."""

    async def sign(self, message: bytes) -> Signature:
        """Sign; raises Unavailable while the key cannot be used or is not certified."""
