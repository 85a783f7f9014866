"""The customers' root keys: whoever keeps them answers in one of three ways, and they stay apart to the end.

Done is an answer. Refused by the owner is `Refused`: the region revokes at once. Not reached is Unavailable: the region
serves on, and tries again.
"""

from __future__ import annotations

from typing import Protocol

from runtime.errors import Stalled

REFUSED = "L1_REFUSED"
UNREACHABLE = "L1_UNREACHABLE"


class Refused(Stalled):
    """The owner of an L1 took it away, disabled it, or withdrew the permission to use it."""

    default_reason = REFUSED


class Provider(Protocol):
    """Keys that never leave it, by label. A new one is one file in region/adapters/l1."""

    async def wrap(self, label: str, material: bytearray) -> bytes:
        """Wrap by the key of that label; raises Refused or Unavailable."""

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        """Unwrap, and the caller overwrites the result; raises Refused, Unavailable, or Stalled for a foreign blob."""

    async def ask(self, label: str) -> None:
        """Find out whether the owner still lets the key unwrap, using none of a tenant's; raises as `unwrap` does."""
