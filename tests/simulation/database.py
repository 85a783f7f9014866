"""The gateway's own SQL on a real PostgreSQL, in simulated time: `now()` is the simulation's.

A statement runs to its end before anything else of the simulation goes on. There is one transaction at a time: what
PostgreSQL's locks keep in order is in order here too.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.errors import translating
from gateway.adapters.postgres.queries import SQL
from gateway.adapters.postgres.schema import migrate
from runtime.errors import Unavailable
from tests.simulation.process import EPOCH, Died, Process

T = TypeVar("T")
CLOCK = """
CREATE SCHEMA IF NOT EXISTS simulation;
CREATE OR REPLACE FUNCTION simulation.now() RETURNS timestamptz STABLE LANGUAGE sql
AS $$ SELECT to_timestamp(current_setting('simulation.now')::float8) $$;
"""
EMPTY = """
DO $$ DECLARE found text; BEGIN
    FOR found IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'migration' LOOP
        EXECUTE 'ALTER TABLE ' || found || ' DISABLE TRIGGER USER';
    END LOOP;
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO found
    FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migration';
    EXECUTE 'TRUNCATE ' || found || ' RESTART IDENTITY';
    FOR found IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'migration' LOOP
        EXECUTE 'ALTER TABLE ' || found || ' ENABLE TRIGGER USER';
    END LOOP;
END $$"""


class Postgres:
    """One connection, used from whatever simulated loop runs now, by a loop of its own in between."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._loop = loop
        self.connection = connection
        self.heard: list[tuple[str, str]] = []

    @classmethod
    def open(cls, host: str, database: str, password: Path) -> Postgres:
        """Make a database of that name, with the whole schema, whose defaults take the simulated time too."""
        loop = asyncio.new_event_loop()
        login = {"host": host, "user": "postgres", "password": password.read_text().strip()}
        settings = {"search_path": "public, simulation, pg_catalog", "simulation.now": str(EPOCH)}
        settings |= {"synchronous_commit": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}

        async def connect() -> asyncpg.Connection[asyncpg.Record]:
            outer = await asyncpg.connect(database="postgres", **login)
            await outer.execute(f'DROP DATABASE IF EXISTS "{database}"')
            await outer.execute(f'CREATE DATABASE "{database}"')
            await outer.close()
            return await asyncpg.connect(database=database, server_settings=settings, **login)

        made = cls(loop, loop.run_until_complete(connect()))
        made.run(made.connection.execute(CLOCK))
        made.run(migrate(made.connection))
        for channel in ("orbital_lane", "orbital_job", "orbital_standing"):
            made.run(made.connection.add_listener(channel, made._hear))
        return made

    def run(self, work: Awaitable[T]) -> T:
        """Let real work be done while the simulation, which it is called from, stands still."""
        outer = events._get_running_loop()
        events._set_running_loop(None)
        try:
            return self._loop.run_until_complete(_awaited(work))
        finally:
            events._set_running_loop(outer)

    def _hear(self, *said: object) -> None:
        self.heard.append((str(said[2]), str(said[3])))

    def empty(self) -> None:
        """Forget everything but the schema."""
        self.run(self.connection.execute(EMPTY))
        self.heard.clear()

    def close(self) -> None:
        """Disconnect."""
        self.run(self.connection.close())
        self._loop.close()


async def _awaited(work: Awaitable[T]) -> T:
    return await work


class SimulatedStore:
    """The one database. `fails` raises what is wrong with it now."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.away = False
        self.statements = 0
        self._turn = asyncio.Lock()
        self._listeners: list[tuple[Process, str, Callable[[str], None]]] = []

    def listen(self, process: Process, channel: str, heard: Callable[[str], None]) -> None:
        """Call `heard` with each notification."""
        self._listeners.append((process, channel, heard))

    def tell(self) -> None:
        """Hand over the notifications of what was committed."""
        told, self.postgres.heard = self.postgres.heard, []
        for channel, said in told:
            for process, wanted, heard in self._listeners:
                if wanted == channel and not process.over:
                    heard(said)

    async def statement(self, query: str, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One statement, at the time at which its transaction began."""
        self.check()
        self.statements += 1
        with translating(query):
            return self.postgres.run(run())

    def begin(self) -> None:
        """Begin a transaction, for which the time stands still as it does in PostgreSQL."""
        self.check()
        moment = EPOCH + asyncio.get_running_loop().time()
        self.postgres.run(self.postgres.connection.execute(f"BEGIN; SET simulation.now = '{moment!r}'"))

    def end(self, how: str) -> None:
        """Commit it, or roll it back."""
        self.postgres.run(self.postgres.connection.execute(how))

    def check(self) -> None:
        """Raise Unavailable while the database is away."""
        if self.away:
            raise Unavailable("The database does not answer; nothing is lost, try again", reason="STORE_UNAVAILABLE")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The one transaction."""
        async with self._turn:
            yield


class SimulatedSession(Session):
    """A session whose every statement takes time, and may be the process's last."""

    def __init__(self, store: SimulatedStore, process: Process) -> None:
        super().__init__(store.postgres.connection)  # type: ignore[arg-type]
        self._store = store
        self._process = process

    async def _do(self, query: str, run: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._process.maybe_die()
        await asyncio.sleep(self._process.random.uniform(0.0001, 0.001))
        await self._process.check()
        answer = await self._store.statement(query, run)
        await self._process.maybe_die()
        return answer

    async def execute(self, query: str, *arguments: Any) -> None:
        await self._do(query, lambda: self._connection.execute(SQL[query], *arguments))

    async def fetch(self, query: str, *arguments: Any) -> Any:
        return await self._do(query, lambda: self._connection.fetch(SQL[query], *arguments))

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        return await self._do(query, lambda: self._connection.fetchrow(SQL[query], *arguments))

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._do(query, lambda: self._connection.fetchval(SQL[query], *arguments))


class SimulatedDatabase(Database):
    """The database as one process reaches it."""

    def __init__(self, store: SimulatedStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def execute(self, query: str, *arguments: Any) -> None:
        async with self.transaction(query) as session:
            await session.execute(query, *arguments)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        async with self.transaction(query) as session:
            return await session.fetch(query, *arguments)

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[Session]:
        await self._process.check()
        async with self._store.turn():
            await self._process.check()
            self._store.begin()
            try:
                yield SimulatedSession(self._store, self._process)
                await self._process.check()
                self._store.check()
            except BaseException:
                # The server does it, whatever became of the process.
                self._store.end("ROLLBACK")
                raise
            self._store.end("COMMIT")
        self._store.tell()
        # Committed, and the process never hears of it.
        if self._process.mortality and self._process.random.random() < self._process.mortality:
            self._process.crash()
            raise Died
