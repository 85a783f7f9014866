"""Regions that are gone for good, in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from orbital.v1.approval_pb2 import Approval, Decommission
from orbital.v1.receipt_pb2 import LostResource
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.approval import Approvals
from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.desired import from_row, insert_job, shut_region, upsert
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.adapters.postgres.targets import converge
from gateway.domain.decommission import serve_until
from gateway.domain.stored import Stored, tombstone
from gateway.ports.store import Action

if TYPE_CHECKING:
    from gateway.ports.decommission import Decommissioning


class _Decommissioning:
    def __init__(self, session: Session, process: str) -> None:
        self.approvals = Approvals(session)
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

    async def take_out(self, found: Approval, item: Stored, action: Action) -> None:
        region, identity = found.decommission.region, found.id
        await self._session.execute("lose_placements", region, identity)
        await self._session.execute("keep_lost_generations", region)
        ended = {row["correlation_id"] for row in await self._session.fetch("give_up_placements", region, identity)}
        ended |= {row["correlation_id"] for row in await self._session.fetch("give_up_targets", region, identity)}
        await self._session.execute("remove_placements", region)
        await self._session.execute("give_up_tasks", region)
        await upsert(self._session, [tombstone(item)], action.correlation_id)
        await shut_region(self._session, region, action)
        await converge(self._session, ended)
        await insert_job(self._session, self._process, action, Empty().SerializeToString(), 0)


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

    async def lost(self, identity: str, most: int) -> Sequence[LostResource]:
        """What stood in a region when it was taken out."""
        rows = await self._database.fetch("lost_resources", identity, most)
        return [LostResource(**dict(row)) for row in rows]

    async def retired(self) -> Sequence[str]:
        """The regions that are gone for good."""
        return [row["region"] for row in await self._database.fetch("retired_regions")]
