"""Drift and tasks in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from orbital.v1.resource_pb2 import Resource, Transport

from gateway.adapters.postgres.database import Database, Session
from gateway.domain.task import task_id
from gateway.ports.lanes import BrokerFault
from gateway.ports.store import Claimed, Denial, Drift
from runtime.kinds import KIND_WORDS
from runtime.policy import Refusal
from runtime.printable import printable

if TYPE_CHECKING:
    from gateway.ports.store import ClaimBatch, DriftBatch

# Different refusals of one caller in an hour; what comes beyond is kept as one, with a count.
MOST_DENIALS = 500
# Dead letters that are kept of one region, the newest, and their bytes: enough to see what is wrong.
MOST_LETTERS = 200
MOST_LETTER_BYTES = 4 * 1024 * 1024
# Bytes of a text that somebody who was refused has chosen.
LONGEST = 1000


async def _keep_denials(session: Session | Database, denials: Sequence[Denial]) -> None:
    rows = [
        (
            item.decision_id,
            item.policy,
            printable(item.principal, LONGEST),
            printable(item.action, LONGEST),
            printable(item.refusal.reason, LONGEST),
            printable(item.refusal.message, LONGEST),
            printable(item.correlation_id, LONGEST),
            item.engine,
        )
        for item in denials
    ]
    if rows:
        await session.execute("insert_denials", *zip(*rows, strict=True), MOST_DENIALS)


async def keep_lane_faults(session: Session | Database, faults: Mapping[str, BrokerFault], lane: int) -> None:
    """Keep what is wrong with a lane in these regions, in one statement."""
    rows = [
        (region, lane, fault.reason, fault.message, not fault.delivered, fault.shared)
        for region, fault in sorted(faults.items())
    ]
    if rows:
        await session.execute("keep_lane_faults", *zip(*rows, strict=True))


# When what policy held back, or refused, is asked about again.
HELD_SECONDS, DENIED_SECONDS = 5.0, 30.0


def _target(row: asyncpg.Record) -> Drift:
    names = ("resource_id", "region", "tenant", "lane", "generation", "correlation_id", "attempt")
    return Drift(
        resource=row["name"],
        kind=row["task_kind"],
        driven_generation=row["generation"],
        observed_generation=0,
        target=True,
        **{name: row[name] for name in names},
    )


class _DriftBatch:
    def __init__(self, session: Session, drifts: Sequence[Drift]) -> None:
        self._session = session
        self.drifts = drifts

    async def drive(self, tasks: Sequence[tuple[uuid.UUID, Drift, float]]) -> None:
        overtaken = [
            task_id(drift.resource, drift.region, drift.driven_generation)
            for _, drift, _ in tasks
            if drift.observed_generation < drift.driven_generation < drift.generation
        ]
        if overtaken:
            await self._session.execute("supersede", overtaken)
        rows = [
            (
                identity,
                drift.resource_id,
                drift.region,
                drift.tenant,
                drift.kind,
                drift.lane,
                drift.generation,
                drift.correlation_id,
            )
            for identity, drift, _ in tasks
        ]
        await self._session.execute("insert_tasks", *zip(*rows, strict=True))
        due = [(drift.resource_id, drift.region, seconds) for _, drift, seconds in tasks if not drift.target]
        if due:
            await self._session.execute("mark_driven", *zip(*due, strict=True))
        again = [
            (drift.resource_id, drift.region, drift.generation, seconds) for _, drift, seconds in tasks if drift.target
        ]
        if again:
            await self._session.execute("mark_targets_driven", *zip(*again, strict=True))


class _ClaimBatch:
    def __init__(self, session: Session, tasks: Sequence[Claimed], faulty: frozenset[str], process: str) -> None:
        self._session = session
        self._process = process
        self.tasks = tasks
        self.faulty = faulty

    async def published(self, tasks: Sequence[uuid.UUID], decision_id: str) -> None:
        await self._session.execute("mark_published", list(tasks), decision_id)

    async def superseded(self, tasks: Sequence[uuid.UUID]) -> None:
        await self._session.execute("mark_superseded", list(tasks))

    async def held(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        await self._refused(tasks, decision_id, HELD_SECONDS)

    async def _refused(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str, seconds: float) -> None:
        await self._session.execute(
            "mark_denied",
            [task.identity for task, _ in tasks],
            [refusal.reason for _, refusal in tasks],
            [refusal.message for _, refusal in tasks],
            decision_id,
            seconds,
        )

    async def stuck(self, tasks: Sequence[tuple[Claimed, BrokerFault]]) -> None:
        rows = [(task.identity, fault.reason, fault.message) for task, fault in tasks]
        await self._session.execute("mark_stuck", *zip(*rows, strict=True))

    async def keep_faults(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        await keep_lane_faults(self._session, faults, lane)

    async def clear_faults(self, regions: Sequence[str], lane: int) -> None:
        await self._session.execute("clear_lane_faults", lane, list(regions))

    async def denied(self, tasks: Sequence[tuple[Claimed, Refusal]], decision_id: str) -> None:
        await self._refused(tasks, decision_id, DENIED_SECONDS)
        await _keep_denials(
            self._session,
            [
                Denial(
                    decision_id,
                    "dispatch",
                    "spiffe://orbital/gateway",
                    f"{KIND_WORDS[task.kind]} {task.resource} in {task.region}",
                    refusal,
                    task.correlation_id,
                    self._process,
                )
                for task, refusal in tasks
            ],
        )


class PostgresTasks:
    """Implements `TaskStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    @asynccontextmanager
    async def drifting(self, lane: int, limit: int) -> AsyncIterator[DriftBatch]:
        """Due drift of a lane, locked until the block ends."""
        async with self._database.transaction("detect") as session:
            rows = await session.fetch("drifts", lane, limit)
            drifts = [
                Drift(
                    row["resource_id"],
                    row["name"],
                    row["tenant"],
                    row["region"],
                    row["task_kind"],
                    row["lane"],
                    row["desired_generation"],
                    row["correlation_id"],
                    row["attempt"],
                    row["driven_generation"],
                    row["observed_generation"],
                )
                for row in rows
            ]
            targets = [_target(row) for row in await session.fetch("overdue_targets", lane, limit)]
            yield _DriftBatch(session, [*drifts, *targets])

    @asynccontextmanager
    async def claiming(self, lane: int, limit: int, here: Sequence[str] = ()) -> AsyncIterator[ClaimBatch]:
        """See the port."""
        async with self._database.transaction("claim") as session:
            rows = await session.fetch("claim", lane, limit, list(here))
            tasks = [
                Claimed(
                    row["id"],
                    row["sequence"],
                    row["kind"],
                    lane,
                    row["region"],
                    row["tenant"],
                    row["generation"],
                    row["current_generation"],
                    row["correlation_id"],
                    row["created_at"],
                    row["name"],
                    row["body"],
                    row["owed"],
                    row["leaving"],
                    row["cancelled"],
                    row["attempt"],
                )
                for row in rows
            ]
            faulty = frozenset(row["region"] for row in rows if row["faulty"])
            yield _ClaimBatch(session, tasks, faulty, self._process)

    async def rehydrate(self, region: str, lane: int) -> None:
        """Drive what is silent in this region now."""
        await self._database.execute("rehydrate", region, lane)

    async def give_grace(self, region: str, lane: int, seconds: float) -> None:
        """Put off driving what is silent in this region."""
        await self._database.execute("give_grace", region, lane, seconds)

    async def keep_dead_letter(self, region: str, lane: int, reason: str, payload: bytes) -> None:
        """Keep a message that could not be read; older ones make room for it."""
        await self._database.execute(
            "insert_dead_letter", region, lane, printable(reason, 500), payload, MOST_LETTERS, MOST_LETTER_BYTES
        )

    async def keep_denials(self, denials: Sequence[Denial]) -> None:
        """Keep refusals; one that is kept already is not kept twice."""
        await _keep_denials(self._database, denials)

    async def lost(self, region: str, lane: int) -> None:
        """The stream of this lane has ended."""
        await self._database.execute("lose_contact", region, lane, self._process)

    async def transports(self, regions: Sequence[str]) -> Mapping[str, Transport.ValueType]:
        """The path that is declared for each of these regions' tasks."""
        rows = await self._database.fetch("region_bodies", [f"regions/{region}" for region in regions])
        declared = {row["name"].rpartition("/")[2]: Resource.FromString(row["body"]).region for row in rows}
        return {name: spec.transport or Transport.TRANSPORT_STREAM for name, spec in declared.items()}

    async def contacted(self, lanes: Sequence[tuple[str, int, Transport.ValueType]]) -> None:
        """These regions were heard of now, on these lanes, whose tasks come by these paths."""
        columns = [list(column) for column in zip(*lanes, strict=True)]
        await self._database.execute("contacts", *columns, self._process)
