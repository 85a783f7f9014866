"""Restorations in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from orbital.v1.restore_pb2 import Restoration, RestorationState

from gateway.adapters.postgres.desired import LockedTenancy
from gateway.adapters.postgres.pool import Pool, translated
from gateway.adapters.postgres.queries import SQL
from runtime.errors import Conflict

if TYPE_CHECKING:
    from gateway.ports.restore import Restoring

PLAIN = (
    "id", "tenant", "generation", "links", "reason", "asked_by", "state", "decided_by", "decline_reason", "services",
    "regions",
)  # fmt: skip


class _Restoring(LockedTenancy):
    async def open(self, tenant: str) -> str:
        await self._connection.execute(SQL["expire_restoration"], tenant)
        return await self._connection.fetchval(SQL["open_restoration"], tenant) or ""

    async def ask(self, restoration: Restoration, seconds: float) -> None:
        one = restoration
        try:
            await self._connection.execute(
                SQL["ask_restoration"],
                *(one.id, one.tenant, one.generation, list(one.links), one.reason, one.asked_by, seconds),
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict("The correlation ID belongs to another restoration", reason="ID_IN_USE") from error

    async def close(self, identity: str, state: RestorationState.ValueType, actor: str, reason: str) -> bool:
        return bool(await self._connection.fetchval(SQL["close_restoration"], identity, state, actor, reason))


class PostgresRestore:
    """Implements `RestoreStore`."""

    def __init__(self, pool: Pool, process: str) -> None:
        self._pool = pool
        self._process = process

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[Restoring]:
        """A transaction."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            yield _Restoring(connection, self._process)

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        """The newest ones, or for an ID that one alone."""
        async with translated():
            rows = await self._pool.fetch(SQL["restorations"], identity, size)
        return [_restoration(row) for row in rows]


def _restoration(row: asyncpg.Record) -> Restoration:
    found = Restoration(**{name: row[name] for name in PLAIN})
    found.ask_time.FromDatetime(row["asked_at"])
    found.expire_time.FromDatetime(row["expires_at"])
    if row["decided_at"] is not None:
        found.decide_time.FromDatetime(row["decided_at"])
    return found
