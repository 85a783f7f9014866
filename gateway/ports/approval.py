"""Requests that take two people: how they are kept, and what people may do about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orbital.v1.approval_pb2 import Approval, ApprovalState, AskApprovalRequest, ListApprovalsRequest

from gateway.ports.serving import Caller


@dataclass(frozen=True, slots=True)
class Waiting:
    """The call that waits, where a request is about one; `digest` tells what exactly it would do."""

    digest: str = ""
    call: bytes = b""


class ApprovalBook(Protocol):
    """The requests, inside a transaction."""

    async def open(self, found: Approval, waiting: Waiting) -> tuple[str, str] | None:
        """The ID of the open request for the same, and who asked; those whose time is over are closed."""

    async def ask(self, found: Approval, waiting: Waiting, seconds: float) -> None:
        """Keep a request that is open for so long; raises Conflict when its ID is in use."""

    async def waiting(self, identity: str) -> Waiting:
        """The call that waits for this request."""

    async def close(self, found: Approval, state: ApprovalState.ValueType, actor: str, reason: str) -> bool:
        """Close an open one, and keep what it says then; False when it is not open any more."""


class ApprovalStore(Protocol):
    """Lists them."""

    async def approvals(self, request: ListApprovalsRequest, size: int) -> tuple[Sequence[Approval], str]:
        """A page, newest first, and the token of the next one; raises Invalid on a token that is not ours."""


class Approvals(Protocol):
    """What people may do about them; the answer is the request as it is then."""

    async def ask(self, request: AskApprovalRequest, caller: Caller) -> Approval:
        """Ask; raises NotFound, Precondition, or Conflict when somebody else asked for the same already."""

    async def approve(self, identity: str, caller: Caller) -> Approval:
        """Carry out what was asked for; raises Denied when policy says that this person may not."""

    async def decline(self, identity: str, reason: str, caller: Caller) -> Approval:
        """Close it and do nothing else."""

    async def approvals(self, request: ListApprovalsRequest, size: int) -> tuple[Sequence[Approval], str]:
        """A page, newest first, and the token of the next one."""
