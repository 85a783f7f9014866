"""The database of edge policy on SQLite: each process of the region has a connection of its own to the one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from region.adapters.sqlite import Database, open_database
from region.ports.edge import EdgeRecords

SCHEMA = Path(__file__).with_name("schema.sql")
# How soon a change by another process is seen; the question costs microseconds.
LOOK = 0.1
# The database's user_version once the kills from before it are in it.
COMPLETE = 1

KEEP = """
INSERT INTO policies (name, generation, body) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, body = excluded.body
WHERE excluded.generation > policies.generation"""
KILL = """
INSERT INTO tenants (name, generation, killed) VALUES (?, ?, 1)
ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, killed = 1
WHERE excluded.generation > tenants.generation"""
REVIVE = """
INSERT INTO tenants (name, generation, killed) VALUES (?, ?, 0)
ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, killed = 0
WHERE excluded.generation > tenants.generation"""


class SqliteEdgeStore:
    """See region.ports.edge.EdgeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own = asyncio.Event()
        self._seen = -1

    async def keep(self, policy: str, generation: int, body: bytes) -> int:
        """See the port."""

        def work() -> int:
            with self._database.transaction() as sql:
                sql.execute(KEEP, (policy, generation, body))
                query = "SELECT generation FROM policies WHERE name = ?"
                held: int = sql.execute(query, (policy,)).fetchone()[0]
                return held

        held = await self._database.call(work)
        self._own.set()
        return held

    async def kill(self, tenant: str, generation: int) -> None:
        """See the port."""
        await self._write(KILL, (tenant, generation))

    async def revive(self, tenant: str, generation: int) -> None:
        """See the port."""
        await self._write(REVIVE, (tenant, generation))

    async def _write(self, statement: str, values: tuple[str, int]) -> None:
        def work() -> int:
            with self._database.transaction() as sql:
                return sql.execute(statement, values).rowcount

        if await self._database.call(work):
            self._own.set()

    async def complete(self) -> bool:
        """See the port."""
        version: int = await self._database.call(
            lambda: self._database.sql.execute("PRAGMA user_version").fetchone()[0]
        )
        return version >= COMPLETE

    async def completed(self) -> None:
        """See the port."""
        await self._database.call(lambda: self._database.sql.execute(f"PRAGMA user_version = {COMPLETE}"))

    async def kept(self) -> EdgeRecords:
        """See the port."""

        def work() -> EdgeRecords:
            with self._database.transaction() as sql:
                policies = [row[0] for row in sql.execute("SELECT body FROM policies ORDER BY name")]
                query = "SELECT name, generation FROM tenants WHERE killed = 1 ORDER BY name"
                return EdgeRecords(policies, dict(sql.execute(query).fetchall()))

        return await self._database.call(work)

    async def changed(self, seconds: float) -> bool:
        """See the port."""
        left = seconds
        while left > 0:
            version = await self._database.call(
                lambda: int(self._database.sql.execute("PRAGMA data_version").fetchone()[0])
            )
            if version != self._seen or self._own.is_set():
                self._seen = version
                self._own.clear()
                return True
            try:
                async with asyncio.timeout(LOOK):
                    await self._own.wait()
            except TimeoutError:
                left -= LOOK
        return False


@asynccontextmanager
async def open_edge_store(path: Path) -> AsyncIterator[SqliteEdgeStore]:
    """Open, or make, the database at `path`, readable by this user alone."""
    async with open_database(path, SCHEMA, "edge") as database:
        yield SqliteEdgeStore(database)
