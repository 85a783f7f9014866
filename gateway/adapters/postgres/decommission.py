"""Decommissions in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from orbital.v1.decommission_pb2 import ApproveDecommissionResponse, Decommission, DecommissionState
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.desired import from_row, insert_job, shut_region, upsert
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.adapters.postgres.targets import converge
from gateway.domain.decommission import serve_until
from gateway.domain.stored import Stored, tombstone
from gateway.ports.store import Action
from runtime.errors import Conflict
from runtime.wellknown import utc

if TYPE_CHECKING:
    from gateway.ports.decommission import Decommissioning

PLAIN = (
    "id", "region", "reason", "asked_by", "state", "decided_by", "decline_reason", "placements", "tenants", "unproven",
)  # fmt: skip


class _Decommissioning:
    def __init__(self, session: Session, process: str) -> None:
        self._session = session
        self._process = process

    async def region(self, region: str) -> Stored | None:
        row = await self._session.fetchrow("region_body", region)
        return from_row(row) if row is not None else None

    async def standing(self, region: str) -> Decommission:
        row = await self._session.fetchrow("region_hold", region)
        assert row is not None
        found = Decommission(
            region=region,
            placements=row["placements"],
            tenants=row["tenants"],
            unproven=row["unproven"],
            connected=row["connected"],
        )
        tenants = [Resource.FromString(one["body"]) for one in await self._session.fetch("region_tenants", region)]
        until = serve_until(row["contacted_at"], tenants)
        if row["contacted_at"] is not None:
            found.last_contact_at.FromDatetime(row["contacted_at"])
        if until is not None:
            found.serve_until.FromDatetime(until)
        return found

    async def open(self, region: str) -> str:
        await self._session.execute("expire_decommission", region)
        return await self._session.fetchval("open_decommission", region) or ""

    async def ask(self, wanted: Decommission, seconds: float) -> None:
        try:
            await self._session.execute(
                "ask_decommission", wanted.id, wanted.region, wanted.reason, wanted.asked_by, seconds
            )
        except Conflict as error:
            raise Conflict("The correlation ID belongs to another request", reason="ID_IN_USE") from error

    async def close(self, found: Decommission, state: DecommissionState.ValueType, actor: str, reason: str) -> bool:
        one = found
        contacted = utc(one.last_contact_at) if one.HasField("last_contact_at") else None
        until = utc(one.serve_until) if one.HasField("serve_until") else None
        numbers = (one.placements, one.tenants, one.unproven, contacted, until)
        return bool(await self._session.fetchval("close_decommission", one.id, state, actor, reason, *numbers))

    async def take_out(self, found: Decommission, item: Stored, action: Action) -> None:
        region, identity = found.region, found.id
        await self._session.execute("lose_placements", region, identity)
        await self._session.execute("keep_lost_generations", region)
        ended = {row["correlation_id"] for row in await self._session.fetch("give_up_placements", region, identity)}
        ended |= {row["correlation_id"] for row in await self._session.fetch("give_up_targets", region, identity)}
        await self._session.execute("remove_placements", region)
        await self._session.execute("give_up_tasks", region)
        await upsert(self._session, [tombstone(item)], action.correlation_id)
        await shut_region(self._session, region, action)
        await converge(self._session, ended)
        await insert_job(self._session, self._process, action, ApproveDecommissionResponse().SerializeToString(), 0)


class PostgresDecommission:
    """Implements `DecommissionStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    @asynccontextmanager
    async def decommissioning(self) -> AsyncIterator[Decommissioning]:
        """A transaction beside which nothing is declared."""
        async with self._database.transaction("decommission") as session:
            await session.execute("lock_declarations", AdvisoryLock.DECLARATIONS)
            yield _Decommissioning(session, self._process)

    async def decommissions(self, identity: str, size: int) -> Sequence[Decommission]:
        """The newest ones, or for an ID that one alone."""
        return [_decommission(row) for row in await self._database.fetch("decommissions", identity, size)]

    async def retired(self) -> Sequence[str]:
        """The regions that are gone for good."""
        return [row["region"] for row in await self._database.fetch("retired_regions")]


def _decommission(row: asyncpg.Record) -> Decommission:
    found = Decommission(**{name: row[name] for name in PLAIN})
    found.ask_time.FromDatetime(row["asked_at"])
    found.expire_time.FromDatetime(row["expires_at"])
    for name, column in (
        ("decide_time", "decided_at"),
        ("last_contact_at", "contacted_at"),
        ("serve_until", "serve_until"),
    ):
        if row[column] is not None:
            getattr(found, name).FromDatetime(row[column])
    return found
