"""Restorations of killed tenants: what people asked for, and what others decided."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orbital.v1.restore_pb2 import Restoration, RestorationState

from gateway.ports.serving import Caller
from gateway.ports.store import Tenancy


class Restoring(Tenancy, Protocol):
    """A transaction over a tenant and its restorations."""

    async def open(self, tenant: str) -> str:
        """The ID of the tenant's open restoration, or ""; those whose time is over are closed."""

    async def ask(self, restoration: Restoration, seconds: float) -> None:
        """Keep a restoration that is open for so long; raises Conflict when its ID is in use."""

    async def close(self, identity: str, state: RestorationState.ValueType, actor: str, reason: str) -> bool:
        """Close an open one; False when it is not open any more."""


class RestoreStore(Protocol):
    """Keeps them."""

    def restoring(self) -> AbstractAsyncContextManager[Restoring]:
        """A transaction."""

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        """The newest ones, or for an ID that one alone."""


class Restores(Protocol):
    """What people may do about them; the answer is the restoration as it is then."""

    async def ask(self, tenant: str, reason: str, caller: Caller, *, validate_only: bool) -> Restoration:
        """Ask for a killed tenant; raises NotFound, Precondition, or Conflict when somebody asked already."""

    async def approve(self, identity: str, caller: Caller) -> Restoration:
        """Restore the tenant; raises Denied when policy says that this person may not."""

    async def decline(self, identity: str, reason: str, caller: Caller) -> Restoration:
        """Close it and do nothing else."""

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        """The newest ones, or for an ID that one alone."""
