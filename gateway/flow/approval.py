"""approval: what one person asks for happens only when another one approves; policy makes sure that they are two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from orbital.v1.approval_pb2 import Approval, AskApprovalRequest, ListApprovalsRequest

from gateway.domain.approval import APPROVED, DECLINED, KINDS, OPEN, asked_for, change_of, kind_of
from gateway.flow.contended import whole
from gateway.ports.approval import ApprovalBook, ApprovalStore, Waiting
from gateway.ports.policy import Policy
from gateway.ports.serving import Caller
from gateway.ports.store import Action, Denial, TaskStore
from runtime.errors import Conflict, Denied, Invalid, NotFound, Precondition
from runtime.fields import check_length
from runtime.wellknown import exact

POLICY = "approval"
# What a person reads at a glance, and the trail keeps.
MAX_REASON = 500


class Transaction(Protocol):
    """A transaction that reaches the requests as well."""

    @property
    def approvals(self) -> ApprovalBook:
        """The requests."""


T = TypeVar("T", bound=Transaction)


class Subject(Protocol[T]):
    """One kind of thing that takes two people."""

    def opening(self) -> AbstractAsyncContextManager[T]:
        """A transaction over what it is about."""

    async def describe(self, change: T, found: Approval) -> None:
        """Say what would happen now; raises NotFound or Precondition where it cannot."""

    async def look(self, found: Approval) -> None:
        """Complete what a request says: of an open one what is so now, where that matters to whoever decides."""

    async def carry_out(self, change: T, found: Approval, action: Action) -> None:
        """Do it; raises Precondition when it is not what was asked for any more."""


class SecondPerson:
    """Asks policy whether a person may decide about a request, and keeps what it refuses."""

    def __init__(self, policy: Policy, denials: TaskStore, process: str) -> None:
        self._policy = policy
        self._denials = denials
        self._process = process

    async def decide(self, act: str, found: Approval, caller: Caller) -> str:
        """The ID of the decision; raises Denied."""
        request = {
            "id": found.id,
            "act": act,
            "what": asked_for(found),
            "asked_by": found.asked_by,
            "expires_at": exact(found.expire_time),
        }
        decisions = await self._policy.decide(
            POLICY, {"principal": caller.principal, "requests": [request]}, [found.id]
        )
        if decisions.allows(found.id):
            return decisions.decision_id
        refusal = decisions.refused[found.id]
        action = f"{act} request to {asked_for(found)}"
        await self._denials.keep_denials(
            [Denial(decisions.decision_id, POLICY, caller.principal, action, refusal, found.id, self._process)]
        )
        raise Denied(refusal.message, reason=refusal.reason)


class ApprovalFlow:
    """See gateway.ports.approval.Approvals. `seconds`: for how long a request stays open."""

    def __init__(
        self,
        store: ApprovalStore,
        subjects: Mapping[str, Subject[Any]],
        second_person: SecondPerson,
        new_correlation_id: Callable[[], str],
        seconds: float,
    ) -> None:
        self._store = store
        self._subjects = subjects
        self._second_person = second_person
        self._new_correlation_id = new_correlation_id
        self._seconds = seconds

    @whole
    async def ask(self, request: AskApprovalRequest, caller: Caller) -> Approval:
        """See the port. The same call again finds what it asked for before."""
        if not request.validate_only:
            check_length(len(request.reason.strip()), 1, MAX_REASON, "reason")
        found = Approval(reason=request.reason.strip(), asked_by=caller.principal)
        named = request.WhichOneof("action")
        if named == "restore_tenant":
            found.restoration.tenant = request.restore_tenant
        elif named == "decommission_region":
            found.decommission.region = request.decommission_region
        else:
            raise Invalid("Name the tenant to restore or the region to decommission", field="action")
        subject = self._subjects[kind_of(found)]
        async with subject.opening() as change:
            await subject.describe(change, found)
            if request.validate_only:
                return found
            found.id = caller.correlation_id or self._new_correlation_id()
            identity = await keep(change.approvals, found, Waiting(), self._seconds)
        return await self._one(identity)

    @whole
    async def approve(self, identity: str, caller: Caller) -> Approval:
        """See the port."""
        found = await self._one(identity)
        if found.state == APPROVED and found.decided_by == caller.principal:
            return found
        decision_id = await self._second_person.decide("approve", found, caller)
        subject = self._subjects[kind_of(found)]
        detail = f"{found.reason} (asked by {found.asked_by})"
        action = Action(identity, caller.principal, change_of(found), detail, decision_id, "")
        async with subject.opening() as change:
            if found.state == OPEN:
                await subject.carry_out(change, found, action)
            if not await change.approvals.close(found, APPROVED, caller.principal, ""):
                raise _closed(found)
        return await self._one(identity)

    async def decline(self, identity: str, reason: str, caller: Caller) -> Approval:
        """See the port."""
        check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        found = await self._one(identity)
        await self._second_person.decide("decline", found, caller)
        async with self._subjects[kind_of(found)].opening() as change:
            if not await change.approvals.close(found, DECLINED, caller.principal, reason.strip()):
                raise _closed(found)
        return await self._one(identity)

    async def approvals(self, request: ListApprovalsRequest, size: int) -> tuple[Sequence[Approval], str]:
        """See the port. One that is asked for by its ID says more: what is reached now, or what was lost by it."""
        if request.kind not in ("", *KINDS):
            raise Invalid(f"kind is {request.kind[:64]!r}; expected one of {', '.join(KINDS)}", field="kind")
        page, more = await self._store.approvals(request, size)
        if request.id:
            for found in page:
                await self._subjects[kind_of(found)].look(found)
        return page, more

    async def _one(self, identity: str) -> Approval:
        page, _ = await self._store.approvals(ListApprovalsRequest(id=identity), 1) if identity else ((), "")
        if not page:
            raise NotFound(f"There is no request {identity[:64]!r}", reason="UNKNOWN_REQUEST", field="id")
        return page[0]


async def keep(book: ApprovalBook, found: Approval, waiting: Waiting, seconds: float) -> str:
    """Keep a request, unless the same person asked for the same before; returns its ID, and raises Conflict."""
    before = await book.open(found, waiting)
    if before is None:
        await book.ask(found, waiting, seconds)
        return found.id
    identity, asked_by = before
    if asked_by != found.asked_by:
        raise Conflict(f"Somebody asked to {asked_for(found)} already: {identity}", reason="ALREADY_ASKED")
    return identity


def _closed(found: Approval) -> Precondition:
    message = f"The request to {asked_for(found)} is not open any more; ask again"
    return Precondition(message, reason="REQUEST_CLOSED", field="id")
