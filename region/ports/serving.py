"""What the region's Crypto service needs of the flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from region.domain.names import Name


class Item(NamedTuple):
    """An L4, plain or wrapped, and what is bound to it. A tuple, because thousands are made a second."""

    content: bytes
    associated_data: bytes

    def __repr__(self) -> str:
        """Never what it holds."""
        return "Item"


class Serving(Protocol):
    """Wraps and unwraps L4 keys by the newest, or the right, version of a Service's L3; all of a call, or nothing."""

    async def wrap(self, service: Name, plaintext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """The ciphertext and the L3 version that made it."""

    async def unwrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """The plaintext and the L3 version that the ciphertext was made by."""

    async def rewrap(self, service: Name, ciphertext: bytes, associated_data: bytes) -> tuple[bytes, int]:
        """The ciphertext made anew by the newest L3 version, and that version."""

    async def wrap_all(self, service: Name, items: Sequence[Item]) -> tuple[list[bytes], int]:
        """The ciphertexts and the L3 version that made them."""

    async def unwrap_all(self, service: Name, items: Sequence[Item]) -> list[bytes]:
        """The plaintexts; an error's field names the item."""

    async def rewrap_all(self, service: Name, items: Sequence[Item]) -> tuple[list[bytes], int]:
        """The ciphertexts made anew by the newest L3 version, and that version; an error's field names the item."""

    async def reach(self, service: Name) -> None:
        """Nothing: the call got this far."""

    async def generate_all(
        self, service: Name, size: int, count: int, associated_data: bytes
    ) -> tuple[list[bytes], list[bytes], int]:
        """So many new L4: plaintexts, ciphertexts, L3 version."""

    async def generate(self, service: Name, size: int, associated_data: bytes) -> tuple[bytes, bytes, int]:
        """A new L4 of so many bytes: plaintext, ciphertext, L3 version."""
