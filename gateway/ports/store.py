"""The source of truth, as the flow sees it. Every method is one transaction of a few set-based statements."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from google.protobuf.message import Message
from orbital.v1.registry_pb2 import DeclareResponse, RetireResponse
from orbital.v1.resource_pb2 import Transport

from gateway.domain.change import Plan
from gateway.domain.departure import Places
from gateway.domain.holdings import Floor
from gateway.domain.links import L1Key
from gateway.domain.report import RegionReport
from gateway.domain.stored import DesiredResource, Stored
from gateway.ports.approval import ApprovalBook
from gateway.ports.lanes import BrokerFault
from runtime.policy import Refusal

# The reason of an Unavailable that undid a transaction for the sake of another: the same again may succeed at once.
CONTENDED = "STORE_CONTENDED"


@dataclass(frozen=True, slots=True)
class Action:
    """Who did what: the head of a job."""

    correlation_id: str
    actor: str
    action: str
    detail: str
    decision_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Drift:
    """A placement, or a revocation of one, that is behind and due."""

    resource_id: int
    resource: str
    tenant: str
    region: str
    kind: int
    lane: int
    generation: int
    correlation_id: str
    attempt: int
    driven_generation: int
    observed_generation: int
    # A revocation whose placement belongs to a later change by now.
    target: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pending task, with the desired state as it is now."""

    identity: uuid.UUID
    sequence: int
    kind: int
    lane: int
    region: str
    tenant: str
    generation: int
    current_generation: int
    correlation_id: str
    created_at: datetime
    resource: str
    body: bytes
    # Whether it is carried out although a newer generation is desired.
    owed: bool = False
    # Whether the resource is about to leave the region.
    leaving: bool = False
    # Whether the region is to forget it.
    cancelled: bool = False
    # How often it was sent, with this time.
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal that is kept."""

    decision_id: str
    policy: str
    principal: str
    action: str
    refusal: Refusal
    correlation_id: str
    engine: str


class Estate(Protocol):
    """Desired state inside one transaction that no other declaration runs beside."""

    @property
    def approvals(self) -> ApprovalBook:
        """The requests that wait for a second person, in this transaction."""

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        """The stored answer to this request, if it was made before; raises Conflict if it was another action."""

    async def regions(self) -> Mapping[str, Stored]:
        """Every region, by full name."""

    async def resources(self, tenants: Sequence[str] | None) -> Mapping[str, Stored]:
        """The resources of these tenants (of all, for None), by full name, regions left out."""

    async def holders(self, named: Collection[L1Key]) -> Mapping[str, Stored]:
        """Every Link, of whatever tenant, that names one of these L1 keys and is not retired, the oldest first."""

    async def places(self, names: Collection[str], stored: Mapping[str, Stored]) -> Places:
        """Where these resources are, or were before they left, by full name."""

    async def floors(self, names: Collection[str]) -> Mapping[str, Floor]:
        """What regions hold under these names by changes that a restored database has lost."""

    async def occupied(self, regions: Sequence[str]) -> Mapping[str, int]:
        """How many placements stand in each of these regions; one without any is left out."""

    async def placed(self, stored: Mapping[str, Stored]) -> Mapping[str, frozenset[str]]:
        """The regions in which each of these resources is placed, by full name."""

    async def save(
        self,
        action: Action,
        plan: Plan,
        stored: Mapping[str, Stored],
        answer: DeclareResponse | RetireResponse,
        places: Places,
    ) -> None:
        """Store the plan, its placements and the job, and wake the lanes that have work."""


class Tenancy(Protocol):
    """A tenant and its links, locked."""

    @property
    def approvals(self) -> ApprovalBook:
        """The requests that wait for a second person, in this transaction."""

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        """The stored answer to this request, if it was made before; raises Conflict if it was another action."""

    async def locked(self, tenant: str) -> Mapping[str, Stored]:
        """The tenant and its links, by full name."""

    async def links_of(self, tenants: Sequence[str]) -> Mapping[str, Stored]:
        """The links of these other tenants, locked, by full name."""

    async def holders(self, named: Collection[L1Key]) -> Mapping[str, Stored]:
        """See `Estate`."""

    async def reach(self, tenant: str, system: str = "") -> tuple[int, Sequence[str]]:
        """How many services the tenant has, and the regions it is in; or so of the Link of this System (full name)."""

    async def lost(self, tenant: str) -> Sequence[str]:
        """The regions that are gone for good and had something of the tenant."""

    async def drive(self, action: Action, wanted: Mapping[int, DesiredResource], answer: Message) -> None:
        """Store new generations and drive each in all of its regions, on the lane of what it takes."""


class DesiredStore(Protocol):
    """What `desired` and `kill` need."""

    def declaring(self) -> AbstractAsyncContextManager[Estate]:
        """A transaction for a declaration."""

    def killing(self) -> AbstractAsyncContextManager[Tenancy]:
        """A transaction for a kill; it waits for no declaration of other tenants."""


class TaskStore(Protocol):
    """What `detect`, `dispatch` and `deliver` need."""

    def drifting(self, lane: int, limit: int) -> AbstractAsyncContextManager[DriftBatch]:
        """Due drift of a lane, overtaken revocations included, locked until the block ends."""

    def claiming(self, lane: int, limit: int, here: Sequence[str] = ()) -> AbstractAsyncContextManager[ClaimBatch]:
        """Pending tasks of a lane, locked until the block ends.

        A region whose lane has a fault waits for its time, unless it is one of `here`.
        """

    async def rehydrate(self, region: str, lane: int) -> None:
        """Have what is silent in this region driven again at once: what the broker had for it is lost."""

    async def give_grace(self, region: str, lane: int, seconds: float) -> None:
        """Put off driving what is silent in this region."""

    async def keep_dead_letter(self, region: str, lane: int, reason: str, payload: bytes) -> None:
        """Keep a message that could not be read."""

    async def keep_denials(self, denials: Sequence[Denial]) -> None:
        """Keep refusals; one that is kept already is not kept twice."""

    async def lost(self, region: str, lane: int) -> None:
        """The stream of this lane has ended."""

    async def transports(self, regions: Sequence[str]) -> Mapping[str, Transport.ValueType]:
        """The path that is declared for each of these regions' tasks."""

    async def contacted(self, lanes: Sequence[tuple[str, int, Transport.ValueType]]) -> None:
        """These regions were heard of now, on these lanes."""


class DriftBatch(Protocol):
    """Locked drift."""

    drifts: Sequence[Drift]

    async def drive(self, tasks: Sequence[tuple[uuid.UUID, Drift, float]]) -> None:
        """Make a pending task of each drift; the number is the seconds until it is driven again."""


class ClaimBatch(Protocol):
    """Locked tasks, and those of their regions whose lane has a fault."""

    tasks: Sequence[Claimed]
    faulty: frozenset[str]

    async def published(self, tasks: Sequence[uuid.UUID], decision_id: str) -> None:
        """The broker has confirmed them, or their region has."""

    async def superseded(self, tasks: Sequence[uuid.UUID]) -> None:
        """A newer generation takes their place."""

    async def held(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        """They wait for this reason; they are driven again."""

    async def stuck(self, tasks: Sequence[tuple[Claimed, BrokerFault]]) -> None:
        """They could not be sent for this reason, and stay pending."""

    async def keep_faults(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        """Keep what is wrong with the lane in these regions."""

    async def clear_faults(self, regions: Sequence[str], lane: int) -> None:
        """Nothing is wrong with the lane in these regions any more."""

    async def denied(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        """Policy refused them."""


class ReportStore(Protocol):
    """What `report` and `converge` need."""

    async def observe(self, tasks: Sequence[RegionReport], placements: Sequence[RegionReport]) -> None:
        """Record what regions reported, and end the changes that it completes."""

    async def converge_all(self) -> None:
        """End every change of which nothing is left to do, whatever notice of it was lost."""
