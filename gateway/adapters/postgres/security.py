"""Security events in PostgreSQL."""

from __future__ import annotations

from gateway.adapters.postgres.pool import Pool, translated
from gateway.adapters.postgres.queries import SQL
from gateway.ports.security import SecurityEvent


class PostgresSecurity:
    """Implements `SecurityStore`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep_event(self, event: SecurityEvent) -> None:
        """Keep it; within an hour, events that differ in nothing else are counted."""
        async with translated():
            await self._pool.execute(
                SQL["keep_security_event"],
                event.region,
                event.subject,
                event.reason,
                event.message[:500],
                event.principal,
            )
