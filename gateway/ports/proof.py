"""What proofs need: an authority that certifies keys, the gateway's own key, and what was stored of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1.receipt_pb2 import LostRegion

from gateway.domain.proof import Certified, Share


class Authority(Protocol):
    """The platform's PKI."""

    async def certify(self, role: str, name: str, request: bytes) -> Certified:
        """Certify the key of a signing request (DER) for a SPIFFE name; raises Invalid when the request is bad."""


class Signer(Protocol):
    """The gateway's own signing key; it never leaves OpenBao."""

    async def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    async def sign(self, message: bytes) -> bytes:
        """ECDSA P-256 with SHA-256, DER; raises Unavailable when OpenBao cannot."""

    async def request(self, subject: str) -> bytes:
        """A certificate signing request (PKCS#10, DER), signed by the key."""


class ProofStore(Protocol):
    """Receipts and certificates; nothing in it is ever changed or removed."""

    async def shares(self, correlation_id: str) -> Sequence[Share]:
        """The tasks of a change that have, or should have, a receipt."""

    async def lost(self, correlation_id: str) -> Sequence[LostRegion]:
        """The regions that are gone for good and had something of what a change is about."""

    async def keep_certificate(self, certified: Certified) -> None:
        """Keep a certificate; one that is kept already is not kept twice."""

    async def certificates(self, keys: Sequence[bytes]) -> Mapping[bytes, Sequence[Certified]]:
        """The certificates of these keys, by key ID, those that end first before the others."""
