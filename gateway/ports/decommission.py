"""Regions that are gone for good: what people asked for, what others decided, and what it takes out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orbital.v1.decommission_pb2 import Decommission, DecommissionState

from gateway.domain.stored import Stored
from gateway.ports.serving import Caller
from gateway.ports.store import Action


class Decommissioning(Protocol):
    """A transaction over a region, in which no declaration changes what stands there."""

    async def region(self, region: str) -> Stored | None:
        """The region as it is declared, locked."""

    async def standing(self, region: str) -> Decommission:
        """What stands in the region, when it was heard of, and until when it may serve."""

    async def open(self, region: str) -> str:
        """The ID of the region's open request, or ""; those whose time is over are closed."""

    async def ask(self, wanted: Decommission, seconds: float) -> None:
        """Keep a request that is open for so long; raises Conflict when its ID is in use."""

    async def close(self, found: Decommission, state: DecommissionState.ValueType, actor: str, reason: str) -> bool:
        """Close an open one; False when it is not open any more."""

    async def take_out(self, found: Decommission, item: Stored, action: Action) -> None:
        """Take the region out: its placements, what changes wait for, its identity and what is known of how it is."""


class DecommissionStore(Protocol):
    """Keeps them."""

    def decommissioning(self) -> AbstractAsyncContextManager[Decommissioning]:
        """A transaction."""

    async def decommissions(self, identity: str, size: int) -> Sequence[Decommission]:
        """The newest ones, or for an ID that one alone."""

    async def retired(self) -> Sequence[str]:
        """The regions that are gone for good and were not declared anew."""


class Decommissions(Protocol):
    """What people may do about them; the answer is the request as it is then."""

    async def ask(self, region: str, reason: str, caller: Caller, *, validate_only: bool) -> Decommission:
        """Ask for a region to be taken out; raises NotFound, Precondition, or Conflict when somebody asked already."""

    async def approve(self, identity: str, caller: Caller) -> Decommission:
        """Take the region out; raises Denied when policy says that this person may not."""

    async def decline(self, identity: str, reason: str, caller: Caller) -> Decommission:
        """Close it and do nothing else."""

    async def decommissions(self, identity: str, size: int) -> Sequence[Decommission]:
        """The newest ones, or for an ID that one alone."""


class QueueRemoval(Protocol):
    """The broker's queues."""

    async def remove(self, region: str) -> None:
        """Remove all of a region, and what waits in them; nothing happens where there is none. Raises Unavailable."""
