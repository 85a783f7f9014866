"""removal: a declaration or a retirement that takes away more than the fuse is done once two people have said so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from orbital.v1.approval_pb2 import Approval
from orbital.v1.registry_pb2 import DeclareRequest, RetireRequest

from gateway.domain import fuse
from gateway.flow.plans import Planned, declaration, retirement
from gateway.ports.approval import Waiting
from gateway.ports.serving import Caller
from gateway.ports.store import Action, DesiredStore, Estate
from runtime.errors import Precondition


class ApproveRemoval:
    """A removal that waits, as a subject of approvals; Declare and Retire ask for it."""

    def __init__(self, store: DesiredStore) -> None:
        self._store = store

    def opening(self) -> AbstractAsyncContextManager[Estate]:
        """A transaction for a declaration."""
        return self._store.declaring()

    async def describe(self, change: Estate, found: Approval) -> None:
        """Nothing: the request says it."""

    async def look(self, found: Approval) -> None:
        """Nothing: anything else than it says is not carried out."""

    async def carry_out(self, change: Estate, found: Approval, action: Action) -> None:
        """Do what was asked for, exactly; raises Precondition when it would do anything else by now."""
        waiting = await change.approvals.waiting(found.id)
        planned: Planned[Any]
        if found.removal.change == "declare":
            planned = await declaration(change, DeclareRequest.FromString(waiting.call))
        else:
            planned = await retirement(change, RetireRequest.FromString(waiting.call))
        if fuse.digest(planned.plan) != waiting.digest:
            raise Precondition(
                f"What {found.subject} has, or where it is, has changed since this was asked; ask again",
                reason="STALE_GENERATION",
            )
        await planned.save(change, action)


def removal_of(
    planned: Planned[Any], request: DeclareRequest | RetireRequest, caller: Caller, new_id: Callable[[], str]
) -> tuple[Approval, Waiting]:
    """The request that a second person approves this call."""
    found = Approval(
        id=caller.correlation_id or new_id(),
        subject=fuse.subject(planned.removal),
        reason=request.reason.strip(),
        asked_by=caller.principal,
        removal=planned.removal,
    )
    return found, Waiting(fuse.digest(planned.plan), request.SerializeToString())
