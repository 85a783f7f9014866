"""A signing key and an audit log in memory, as receipts need them."""

from __future__ import annotations

import hashlib
from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from region.flow.receipts import Receipts
from region.ports.host import Host
from region.ports.journal import Journal
from region.ports.receipts import AuditRecords, LogPosition
from runtime.errors import Unavailable


class FakeSigner:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.signed = 0
        self.away = False

    async def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.key.public_key()

    async def sign(self, message: bytes) -> bytes:
        if self.away:
            raise Unavailable("away", reason="OPENBAO_UNREACHABLE")
        self.signed += 1
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    async def request(self, subject: str) -> NoReturn:
        raise NotImplementedError


class FakeAudit:
    async def mark(self) -> LogPosition | None:
        return LogPosition(1, 0)

    async def records(self, mark: LogPosition, attempt: str) -> AuditRecords:
        return AuditRecords(3, hashlib.sha256(attempt.encode()).digest())


def fake_receipts(journal: Journal, host: Host, signer: FakeSigner | None = None) -> Receipts:
    return Receipts("eu10", journal, signer or FakeSigner(), FakeAudit(), host)
