"""What the region's Crypto service needs of the flow."""

from __future__ import annotations

from typing import Protocol

from region.domain.names import Name


class Serving(Protocol):
    """Wraps and unwraps L4 keys by the newest, or the right, version of a Service's L3."""

    async def wrap(self, service: Name, plaintext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """The ciphertext and the L3 version that made it."""

    async def unwrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """The plaintext and the L3 version that the ciphertext was made by."""
