"""Stand-ins for the ports, for unit tests alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from orbital.v1.audit_pb2 import AuditHead
from orbital.v1.dispatch_pb2 import Recovery, StateMark
from orbital.v1.resource_pb2 import Resource, Transport

from gateway.domain.faults import LaneFault, ProcessFault
from gateway.domain.report import RegionReport
from gateway.domain.revocation import Revocation
from gateway.ports.lanes import BrokerFault, Delivery, LaneMessage
from gateway.ports.security import SecurityEvent
from gateway.ports.serving import Caller
from gateway.ports.store import Claimed, Denial, Drift
from runtime.errors import Invalid, Unavailable
from runtime.policy import Decisions, Refusal

REFUSED = Refusal("NOT_HERE", "Not here")
AWAY = BrokerFault("BROKER_UNAVAILABLE", "away", shared=True)


class FakePolicy:
    def __init__(self) -> None:
        self.refuse: set[str] = set()
        self.refusal = REFUSED
        self.away = False
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        if self.away:
            raise Unavailable("away")
        self.asked.append((policy, question))
        return Decisions("decision-1", {name: self.refusal for name in identities if name in self.refuse})

    async def policy_age(self) -> float | None:
        return 1.0


class FakePublisher:
    def __init__(self) -> None:
        self.lane_messages: list[LaneMessage] = []
        self.tried: list[LaneMessage] = []
        self.broker_faults: dict[str, BrokerFault] = {}
        self.away = False

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        self.tried.extend(lane_messages)
        fates = [AWAY if self.away else self.broker_faults.get(lane_message.region) for lane_message in lane_messages]
        self.lane_messages.extend(
            lane_message
            for lane_message, fate in zip(lane_messages, fates, strict=True)
            if fate is None or fate.delivered
        )
        return fates

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        return [AWAY if self.away else self.broker_faults.get(region) for region in regions]


class FakeFaults:
    """A `FaultStore`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], BrokerFault] = {}
        self.said: list[BrokerFault | None] = []
        self.due: float | None = 0.0

    async def lane_faults(self, region: str) -> Sequence[LaneFault]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            LaneFault(name, lane, each.reason, each.message, not each.delivered, now, now)
            for (name, lane), each in self.kept.items()
        ]

    async def process_faults(self) -> Sequence[ProcessFault]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        said = self.said[-1] if self.said else None
        return [ProcessFault("gateway", "broker", said.reason, said.message, now)] if said else []

    async def say(self, component: str, fault: BrokerFault | None) -> None:
        self.said.append(fault)

    async def keep(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        self.kept |= {(region, lane): fault for region, fault in faults.items()}

    async def clear(self, regions: Sequence[str], lane: int) -> None:
        for region in regions:
            self.kept.pop((region, lane), None)

    async def to_check(self, lane: int, most: int) -> Sequence[str]:
        return [region for region, number in self.kept if number == lane][:most]

    async def next_check(self, lane: int) -> float | None:
        return self.due

    async def call_direct(self) -> None: ...


class FakeTasks:
    """A `TaskStore`; what a block changed counts only when the block ends well."""

    def __init__(self) -> None:
        self.drifts: list[Drift] = []
        self.pending: list[Claimed] = []
        self.marks: dict[str, list[UUID]] = {"published": [], "superseded": [], "held": [], "denied": [], "stuck": []}
        self.faults: dict[str, BrokerFault] = {}
        self.driven: list[tuple[UUID, Drift, float]] = []
        self.denials: list[Denial] = []
        self.dead: list[tuple[str, int, str, bytes]] = []
        self.grace: list[tuple[str, int]] = []
        self.rehydrated: list[tuple[str, int]] = []
        self.contacts: list[tuple[str, int]] = []
        self.events: list[SecurityEvent] = []

    @asynccontextmanager
    async def drifting(self, lane: int, limit: int) -> AsyncIterator[Any]:
        batch = FakeDriftBatch([drift for drift in self.drifts if drift.lane == lane][:limit])
        yield batch
        self.driven.extend(batch.driven)
        self.drifts = [drift for drift in self.drifts if drift not in batch.drifts]

    @asynccontextmanager
    async def claiming(self, lane: int, limit: int, here: Sequence[str] = ()) -> AsyncIterator[Any]:
        batch = FakeClaimBatch([task for task in self.pending if task.lane == lane][:limit], self.faults)
        yield batch
        self.faults = batch.faults
        for name, tasks in batch.marks.items():
            self.marks[name].extend(tasks)
        done = {identity for name, tasks in batch.marks.items() for identity in tasks if name != "stuck"}
        self.pending = [task for task in self.pending if task.identity not in done]

    async def rehydrate(self, region: str, lane: int) -> None:
        self.rehydrated.append((region, lane))

    async def give_grace(self, region: str, lane: int, seconds: float) -> None:
        self.grace.append((region, lane))

    async def keep_dead_letter(self, region: str, lane: int, reason: str, payload: bytes) -> None:
        self.dead.append((region, lane, reason, payload))

    async def keep_event(self, event: SecurityEvent) -> None:
        self.events.append(event)

    async def keep_denials(self, denials: Sequence[Denial]) -> None:
        self.denials.extend(denials)

    async def lost(self, region: str, lane: int) -> None:
        self.contacts.remove((region, lane))

    async def transports(self, regions: Sequence[str]) -> Mapping[str, Transport.ValueType]:
        return dict.fromkeys(regions, Transport.TRANSPORT_STREAM)

    async def contacted(self, lanes: Sequence[tuple[str, int, Transport.ValueType]]) -> None:
        self.contacts.extend((region, lane) for region, lane, _ in lanes)


class FakeStanding:
    """A `StandingStore`."""

    def __init__(self, *marks: Revocation) -> None:
        self.kept = list(marks)

    async def marks(self) -> Sequence[Revocation]:
        return list(self.kept)

    async def revoke(self, region: str, reason: str, caller: Caller) -> datetime | None:
        if any(mark.region == region and mark.revoked for mark in self.kept):
            return None
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.kept = [mark for mark in self.kept if mark.region != region]
        self.kept.append(Revocation(region, reason, caller.principal, now))
        return now


class FakeDriftBatch:
    def __init__(self, drifts: Sequence[Drift]) -> None:
        self.drifts = drifts
        self.driven: list[tuple[UUID, Drift, float]] = []

    async def drive(self, tasks: Sequence[tuple[UUID, Drift, float]]) -> None:
        self.driven.extend(tasks)


class FakeClaimBatch:
    def __init__(self, tasks: Sequence[Claimed], faults: Mapping[str, BrokerFault]) -> None:
        self.tasks = tasks
        self.faults = dict(faults)
        self.marks: dict[str, list[UUID]] = {"published": [], "superseded": [], "held": [], "denied": [], "stuck": []}

    @property
    def faulty(self) -> frozenset[str]:
        return frozenset(self.faults)

    async def stuck(self, tasks: Sequence[tuple[Claimed, BrokerFault]]) -> None:
        self.marks["stuck"].extend(task.identity for task, _ in tasks)

    async def keep_faults(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        self.faults |= faults

    async def clear_faults(self, regions: Sequence[str], lane: int) -> None:
        for region in regions:
            del self.faults[region]

    async def published(self, tasks: Sequence[UUID], decision_id: str) -> None:
        self.marks["published"].extend(tasks)

    async def superseded(self, tasks: Sequence[UUID]) -> None:
        self.marks["superseded"].extend(tasks)

    async def held(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        self.marks["held"].extend(task.identity for task, _ in tasks)

    async def denied(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        self.marks["denied"].extend(task.identity for task, _ in tasks)


class FakeReports:
    """A `ReportStore`."""

    def __init__(self) -> None:
        self.observed: list[tuple[list[RegionReport], list[RegionReport]]] = []
        self.away = False
        # Task IDs of reports that cannot be stored.
        self.poison: set[str] = set()

    async def observe(self, tasks: Sequence[RegionReport], placements: Sequence[RegionReport]) -> None:
        if self.away:
            raise Unavailable("away")
        if any(item.report.task_id in self.poison for item in tasks):
            raise Invalid("no", reason="CANNOT_BE_STORED")
        self.observed.append((list(tasks), list(placements)))

    async def converge_all(self) -> None: ...


class FakeLanes:
    """`Lanes` with one queue that holds `messages`; it stays open until cancelled."""

    def __init__(self, *messages: bytes) -> None:
        self.messages_left = messages
        self.acknowledged: list[int] = []
        self.rejected: list[int] = []
        self.withdrawn: list[tuple[str, int]] = []
        # What is answered of the session: read yet, and then gone with nothing in it.
        self.sessions: list[int | None] = []
        self.fault: BrokerFault | None = None
        self.restored: list[tuple[str, int]] = []
        self.opened = 0

    async def withdraw(self, region: str, lane: int) -> int | None:
        self.withdrawn.append((region, lane))
        return self.sessions.pop(0) if self.sessions else 0

    @asynccontextmanager
    async def consume(self, region: str, lane: int, credit: int) -> AsyncIterator[Any]:
        self.opened += 1
        yield self

    async def restore(self, region: str, lane: int) -> None:
        self.restored.append((region, lane))

    async def messages(self) -> AsyncIterator[Delivery]:
        for tag, body in enumerate(self.messages_left, 1):
            yield Delivery(tag, body, redelivered=False)
        await asyncio.Event().wait()

    async def acknowledge(self, tag: int) -> None:
        self.acknowledged.append(tag)

    async def reject(self, tag: int) -> None:
        self.rejected.append(tag)


class FakeState:
    """Implements `StateStore`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], StateMark] = {}
        self.begun: dict[str, str] = {}
        self.over: list[str] = []

    async def keep_marks(self, marks: Sequence[tuple[str, StateMark]]) -> None:
        for region, mark in marks:
            known = self.kept.get((region, mark.journal))
            newer = known and (mark.term, mark.sequence) > (known.term, known.sequence)
            if known is None or (newer and (mark.term > known.term or mark.epoch == known.epoch)):
                self.kept[region, mark.journal] = mark

    async def marks(self, regions: Sequence[str]) -> Mapping[str, Sequence[StateMark]]:
        return {region: [mark for (name, _), mark in sorted(self.kept.items()) if name == region] for region in regions}

    async def begin_recovery(self, region: str, recovery: Recovery) -> bool:
        known = recovery.id in self.begun
        self.begun[recovery.id] = region
        return not known

    async def recovered(self, regions: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {region: [one for one in self.over if self.begun.get(one) == region] for region in regions}


class FakeHoldings:
    """Implements `HoldingStore`."""

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self.asking: list[str] = []
        self.adopted: list[tuple[str, list[Resource], bool]] = []
        self.told = False

    async def lost(self, head: AuditHead) -> bool:
        return head.sequence in self.gone

    async def ask(self, region: str, head: AuditHead, signed_at: datetime) -> bool:
        self.asking.append(region)
        return not self.told

    async def adopt(self, region: str, held: Sequence[Resource], *, last: bool) -> None:
        self.adopted.append((region, list(held), last))
