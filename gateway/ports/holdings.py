"""What the control plane needs after its database was restored from a backup: what regions hold beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from orbital.v1.audit_pb2 import AuditHead
from orbital.v1.resource_pb2 import Resource


class HoldingStore(Protocol):
    """Finds that the store went back, and takes up what regions hold beyond it."""

    async def lost(self, head: AuditHead) -> bool:
        """Whether the trail does not have the record of this head any more."""

    async def ask(self, region: str, head: AuditHead, signed_at: datetime) -> bool:
        """Note that the trail has lost this head; False where the region has told what it holds since it was signed."""

    async def adopt(self, region: str, held: Sequence[Resource], *, last: bool) -> None:
        """Adopt what the region revoked by lost changes, and raise generations above those that it holds.

        The whole page or nothing. What regions hold of names that the store does not know is kept as a floor. Changes
        nothing for a region that was not asked.
        """
