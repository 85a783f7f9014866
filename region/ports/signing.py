"""Signatures: the region's own, and everybody's public keys."""

from __future__ import annotations

from typing import Protocol

from orbital.v1.signed_pb2 import Signed


class Signs(Protocol):
    """The region's signature."""

    def sign(self, purpose: str, content: bytes) -> Signed:
        """The content with its signature; raises Unavailable when there is no key to sign with."""


class Verifies(Protocol):
    """The public keys of everybody."""

    async def verify(self, signed: Signed, purpose: str, owner: str) -> bytes:
        """The content, if `owner` signed it for this purpose; raises Denied, and Unavailable without keys."""
