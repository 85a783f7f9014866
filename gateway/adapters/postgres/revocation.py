"""Revocations in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.adapters.postgres.database import Database
from gateway.domain.revocation import Revocation
from gateway.ports.serving import Caller


class PostgresRevocations:
    """Implements `StandingStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def marks(self) -> Sequence[Revocation]:
        """See the port."""
        return [Revocation(**row) for row in await self._database.fetch("revocations")]

    async def revoke(self, region: str, reason: str, caller: Caller) -> datetime | None:
        """See the port."""
        async with self._database.transaction("revoke") as session:
            arguments = (region, reason, caller.principal, caller.decision_id)
            at: datetime | None = await session.fetchval("revoke_region", *arguments)
            await session.execute("end_invitations", region)
            return at
