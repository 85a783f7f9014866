"""What waits at the hops, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.adapters.postgres.database import Database
from gateway.ports.hops import Oldest, Waiting

# Rows that are looked through on each lane: behind so many that nobody may take, what may be taken is not seen.
MOST_LOOKED_THROUGH = 1000


class PostgresHops:
    """Implements `HopStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, lanes: Sequence[int]) -> Mapping[int, Waiting]:
        """See the port."""
        rows = await self._database.fetch("waiting_hops", list(lanes), MOST_LOOKED_THROUGH)
        return {
            row["lane"]: Waiting(_oldest(row["due_age"], row["due"]), _oldest(row["pending_age"], row["pending"]))
            for row in rows
        }


def _oldest(age: float | None, mark: str | None) -> Oldest | None:
    return None if age is None or mark is None else Oldest(age, mark)
