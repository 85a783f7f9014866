"""How far regions' states are, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orbital.v1.dispatch_pb2 import Recovery, StateMark
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database
from gateway.domain.state import Placed, again
from runtime.errors import Unavailable
from runtime.kinds import REVOKING

# Each makes everything of a region be driven again.
MOST_A_MINUTE = 6
KEPT = 16


class PostgresState:
    """Implements `StateStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep_marks(self, marks: Sequence[tuple[str, StateMark]]) -> None:
        """See the port."""
        rows = [(region, mark.journal, mark.term, mark.epoch, mark.sequence) for region, mark in marks]
        if rows:
            await self._database.execute("keep_marks", *zip(*sorted(rows), strict=True))

    async def marks(self, regions: Sequence[str]) -> Mapping[str, Sequence[StateMark]]:
        """See the port."""
        rows = await self._database.fetch("marks", list(regions))
        found: dict[str, list[StateMark]] = {}
        for row in rows:
            mark = StateMark(journal=row["journal"], term=row["term"], epoch=row["epoch"], sequence=row["sequence"])
            found.setdefault(row["region"], []).append(mark)
        return found

    async def begin_recovery(self, region: str, recovery: Recovery) -> bool:
        """See the port."""
        async with self._database.transaction("begin_recovery") as session:
            stores = ",".join(sorted(set(recovery.stores)))
            begun = await session.fetchval("begin_recovery", region, recovery.id, stores, KEPT)
            if begun is None:
                return False
            if await session.fetchval("recent_recoveries", region) > MOST_A_MINUTE:
                raise Unavailable(
                    f"The region {region} has begun {MOST_A_MINUTE} recoveries within a minute; wait for them to end",
                    reason="TOO_MANY_RECOVERIES",
                )
            rows = await session.fetch("placed_in_region", region)
            tasks = again(
                Placed(row["resource_id"], Resource.FromString(row["body"]), row["effect_generation"]) for row in rows
            )
            if tasks:
                await session.execute("drive_again", region, *zip(*tasks, strict=True))
                await session.execute("wake_lanes", sorted({lane for _, _, lane in tasks}))
            return True

    async def recovered(self, regions: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See the port."""
        await self._database.execute("end_recoveries", list(regions), list(REVOKING))
        rows = await self._database.fetch("ended_recoveries", list(regions))
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["region"], []).append(row["id"])
        return found
