"""The one way to the database: named queries and transactions, which raise our errors and never the driver's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg
import asyncpg.pool

from gateway.adapters.postgres.errors import DRIVER, translating
from gateway.adapters.postgres.queries import SQL

# In quotes: the driver is generic for type checkers only.
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Raw: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Rows: TypeAlias = "list[asyncpg.Record]"
# How long a transaction that failed may take to be undone before its connection is given up.
ROLLBACK_SECONDS = 5.0


class Session:
    """One connection, inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, query: str, *arguments: Any) -> None:
        """Run a named query for its effect."""
        with translating(query):
            await self._connection.execute(SQL[query], *arguments)

    async def fetch(self, query: str, *arguments: Any) -> Rows:
        """All rows of a named query."""
        with translating(query):
            return await self._connection.fetch(SQL[query], *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of a named query, if it has one."""
        with translating(query):
            return await self._connection.fetchrow(SQL[query], *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """The first value of the first row of a named query; None when it has no row."""
        with translating(query):
            return await self._connection.fetchval(SQL[query], *arguments)


class Database:
    """A pool of connections.

    Every method raises Invalid when a value cannot be stored, Conflict when a key is taken, and Unavailable, with a
    reason, for whatever else the database or the driver reports.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @asynccontextmanager
    async def connection(self, what: str) -> AsyncIterator[Connection]:
        """A connection of the pool; `what` is what the log calls its use. The block translates for itself."""
        with translating(f"connect to {what}"):
            connection = await self.pool.acquire()
        try:
            yield connection
        finally:
            await self._release(connection)

    async def execute(self, query: str, *arguments: Any) -> None:
        """Run a named query for its effect, in a transaction of its own."""
        async with self.connection(query) as connection:
            await Session(connection).execute(query, *arguments)

    async def fetch(self, query: str, *arguments: Any) -> Rows:
        """All rows of a named query."""
        async with self.connection(query) as connection:
            return await Session(connection).fetch(query, *arguments)

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[Session]:
        """A transaction: committed when the block ends, undone when it raises."""
        async with self.connection(name) as connection:
            transaction = connection.transaction()
            try:
                with translating(f"begin {name}"):
                    await transaction.start()
            except BaseException:
                # Whether it began at the server nobody knows.
                with suppress(*DRIVER):
                    connection.terminate()
                raise
            try:
                yield Session(connection)
            except BaseException:
                await _undo(connection, transaction)
                raise
            with translating(f"commit {name}"):
                await transaction.commit()

    async def _release(self, connection: Connection) -> None:
        try:
            if connection.is_in_transaction():
                # Cancelled while one began or ended: by closing it the server rolls back, and the driver has no say.
                connection.terminate()
            await self.pool.release(connection)
        except DRIVER:
            # Whatever state it is in, nobody gets it again.
            with suppress(*DRIVER):
                connection.terminate()


async def _undo(connection: Connection, transaction: asyncpg.transaction.Transaction) -> None:
    """Roll back; a connection that cannot is closed, by which the server rolls back."""
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await transaction.rollback()
    except (*DRIVER, asyncio.CancelledError) as error:
        with suppress(*DRIVER):
            connection.terminate()
        if isinstance(error, asyncio.CancelledError):
            raise
