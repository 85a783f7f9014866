"""Restorations in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from orbital.v1.restore_pb2 import Restoration, RestorationState

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.desired import LockedTenancy
from runtime.errors import Conflict

if TYPE_CHECKING:
    from gateway.ports.restore import Restoring

PLAIN = (
    "id", "tenant", "generation", "links", "reason", "asked_by", "state", "decided_by", "decline_reason", "services",
    "regions",
)  # fmt: skip


class _Restoring(LockedTenancy):
    async def open(self, tenant: str) -> str:
        await self._session.execute("expire_restoration", tenant)
        return await self._session.fetchval("open_restoration", tenant) or ""

    async def ask(self, restoration: Restoration, seconds: float) -> None:
        one = restoration
        try:
            await self._session.execute(
                "ask_restoration",
                *(one.id, one.tenant, one.generation, list(one.links), one.reason, one.asked_by, seconds),
            )
        except Conflict as error:
            raise Conflict("The correlation ID belongs to another restoration", reason="ID_IN_USE") from error

    async def close(self, identity: str, state: RestorationState.ValueType, actor: str, reason: str) -> bool:
        return bool(await self._session.fetchval("close_restoration", identity, state, actor, reason))


class PostgresRestore:
    """Implements `RestoreStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[Restoring]:
        """A transaction."""
        async with self._database.transaction("restore") as session:
            yield _Restoring(session, self._process)

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        """The newest ones, or for an ID that one alone."""
        rows = await self._database.fetch("restorations", identity, size)
        return [_restoration(row) for row in rows]


def _restoration(row: asyncpg.Record) -> Restoration:
    found = Restoration(**{name: row[name] for name in PLAIN})
    found.ask_time.FromDatetime(row["asked_at"])
    found.expire_time.FromDatetime(row["expires_at"])
    if row["decided_at"] is not None:
        found.decide_time.FromDatetime(row["decided_at"])
    return found
