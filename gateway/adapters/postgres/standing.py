"""Revocations in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.adapters.postgres.pool import Pool, translated
from gateway.adapters.postgres.queries import SQL
from gateway.domain.standing import Mark
from gateway.ports.serving import Caller


class PostgresStanding:
    """Implements `StandingStore`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def marks(self) -> Sequence[Mark]:
        """See the port."""
        async with translated():
            return [Mark(**row) for row in await self._pool.fetch(SQL["revocations"])]

    async def revoke(self, region: str, reason: str, caller: Caller) -> datetime | None:
        """See the port."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            arguments = (region, reason, caller.principal, caller.decision_id)
            at: datetime | None = await connection.fetchval(SQL["revoke_region"], *arguments)
            await connection.execute(SQL["end_invitations"], region)
            return at
