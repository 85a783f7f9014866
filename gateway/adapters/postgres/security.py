"""Security events in PostgreSQL."""

from __future__ import annotations

from gateway.adapters.postgres.database import Database
from gateway.ports.security import SecurityEvent
from runtime.printable import printable


class PostgresSecurity:
    """Implements `SecurityStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep_event(self, event: SecurityEvent) -> None:
        """Keep it; within an hour, events that differ in nothing else are counted."""
        await self._database.execute(
            "keep_security_event",
            event.region,
            event.subject,
            event.reason,
            printable(event.message, 500),
            event.principal,
        )
