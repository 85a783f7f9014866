"""Regions that are gone for good: what stands in one, and what it takes to take it out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orbital.v1.approval_pb2 import Approval, Decommission
from orbital.v1.receipt_pb2 import LostResource

from gateway.domain.stored import Stored
from gateway.ports.approval import ApprovalBook
from gateway.ports.store import Action


class Decommissioning(Protocol):
    """A transaction over a region, in which no declaration changes what stands there."""

    @property
    def approvals(self) -> ApprovalBook:
        """The requests that wait for a second person, in this transaction."""

    async def region(self, region: str) -> Stored | None:
        """The region as it is declared, locked."""

    async def standing(self, region: str) -> Decommission:
        """What stands in the region, when it was heard of, and until when it may serve."""

    async def take_out(self, found: Approval, item: Stored, action: Action) -> None:
        """Take the region out: its placements, what changes wait for, its identity and what is known of how it is."""


class DecommissionStore(Protocol):
    """What `decommission` needs."""

    def decommissioning(self) -> AbstractAsyncContextManager[Decommissioning]:
        """A transaction beside which nothing is declared."""

    async def lost(self, identity: str, most: int) -> Sequence[LostResource]:
        """What stood in a region when this request took it out; at most so many."""

    async def retired(self) -> Sequence[str]:
        """The regions that are gone for good and were not declared anew."""


class QueueRemoval(Protocol):
    """The broker's queues."""

    async def remove(self, region: str) -> None:
        """Remove all of a region, and what waits in them; nothing happens where there is none. Raises Unavailable."""
