"""What the gateway offers to callers: the flow, as the gRPC services see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orbital.v1 import registry_pb2 as registry
from orbital.v1.audit_pb2 import ListAuditResponse
from orbital.v1.dispatch_pb2 import RefusedReport, SubscribeRequest, SubscribeResponse
from orbital.v1.receipt_pb2 import Proof
from orbital.v1.resource_pb2 import Resource
from orbital.v1.signed_pb2 import Signed

from gateway.domain.proof import Certified

MAX_REPORTS = 500  # of one call, which is one transaction


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the sidecar vouches for it."""

    principal: str
    decision_id: str
    # Chosen by the caller, so that it can ask for the trace even of a call that was refused; empty: ours to choose.
    correlation_id: str = ""


class Intent(Protocol):
    """Stage 1."""

    async def declare(self, request: registry.DeclareRequest, caller: Caller) -> registry.DeclareResponse:
        """Store all of it or nothing; raises Invalid, NotFound, Precondition or Conflict naming the field."""

    async def kill(self, request: registry.KillRequest, caller: Caller) -> registry.KillResponse:
        """Unlink every Link of a tenant in every region; killing a killed tenant changes nothing."""

    async def retire(self, request: registry.RetireRequest, caller: Caller) -> registry.RetireResponse:
        """Make tombstones of the resources named and of all beneath them; what is retired already does not change."""


class LaneStreams(Protocol):
    """Stage 4, the last mile."""

    async def serve(
        self,
        principal: str,
        region: str,
        requests: AsyncIterator[SubscribeRequest],
        send: Callable[[SubscribeResponse], Awaitable[None]],
    ) -> None:
        """Serve one stream until it is too old or an end of it is lost; `region` is what the sidecar authorised."""


class BrokerAuthorizer(Protocol):
    """Whom the message broker lets do what."""

    async def allows(self, about: str, asked: Mapping[str, str], *, password: bool) -> bool:
        """Whether policy allows what is asked about a user, vhost, resource or topic; raises Unavailable without it."""


class ReportIntake(Protocol):
    """Stage 6."""

    async def submit(self, principal: str, region: str, signed: Signed, lane: int) -> list[RefusedReport]:
        """Return once the reports are durable, with those that policy refused.

        Raises Denied when the region did not sign them, Invalid on a malformed one.
        """


class Prover(Protocol):
    """What regions did, provably."""

    async def certify(self, region: str, request: bytes) -> Certified:
        """A certificate of the key by which a region signs receipts; raises Invalid on a bad signing request."""

    async def proof(self, correlation_id: str) -> Proof:
        """The proof of a change as it stands now; raises NotFound when there is no such change."""


class AuditReading(Protocol):
    """The audit trail, for whoever verifies it."""

    async def list(self, after: int, most: int) -> ListAuditResponse:
        """A page of the trail with its heads."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The head of a job, as a trace tells it."""

    actor: str
    action: str
    detail: str
    decision_id: str
    process: str
    created_at: datetime
    converged_at: datetime | None
    # Set without the other when later changes took over what was left of this one.
    ended_at: datetime | None = None
    superseded_by: Sequence[str] = ()
    # Regions that were decommissioned before they proved their part.
    lost_regions: Sequence[str] = ()


TaskRecord = Mapping[str, Any]
MOST_TASKS = 20_000  # of a trace, as a person may look over it


class ReadStore(Protocol):
    """Reads. Sizes are page sizes; tokens are those of the page before."""

    async def resource(self, name: str) -> Resource | None:
        """One resource, by full name."""

    async def resources(
        self, kind: int, tenant: str, size: int, token: str, *, retired: bool
    ) -> registry.ListResourcesResponse:
        """A page of resources of one kind; with `retired`, tombstones too."""

    async def regions(self) -> registry.ListRegionsResponse:
        """Every region with what is known of it."""

    async def placements(
        self, chosen: registry.PlacementFilter, size: int, token: str
    ) -> registry.ListPlacementsResponse:
        """A page of placements."""

    async def tasks(self, request: registry.ListTasksRequest, size: int) -> registry.ListTasksResponse:
        """A page of tasks, newest first."""

    async def dead_letters(self, size: int, token: str) -> registry.ListDeadLettersResponse:
        """A page of messages that could not be read, newest first."""

    async def security_events(self, size: int, token: str) -> registry.ListSecurityEventsResponse:
        """A page of security events, newest first."""

    async def denials(self, correlation_id: str, size: int, token: str) -> registry.ListDenialsResponse:
        """A page of refusals that were kept, newest first."""

    async def job(self, correlation_id: str) -> registry.Job | None:
        """How far a change has converged."""

    async def jobs(self, request: registry.ListJobsRequest, size: int) -> registry.ListJobsResponse:
        """A page of changes, newest first."""

    async def trace(self, correlation_id: str) -> tuple[JobRecord | None, Sequence[TaskRecord]]:
        """A job and what is stored of its tasks, in order of sequence: at most one more than a trace tells."""
