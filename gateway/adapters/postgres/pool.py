"""Connections to PostgreSQL: a pool, the schema, and the ear for notifications."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import TypeAlias

import asyncpg
import asyncpg.pool

from gateway.ports.store import CONTENDED
from gateway.settings import PostgresSettings
from runtime.errors import Invalid, Unavailable
from runtime.logs import get_logger
from runtime.settings import read_secret

log = get_logger(__name__)

# In quotes: the driver is generic for type checkers only.
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
MIGRATION_LOCK = 7_203_000
CLOSE_SECONDS = 5
SESSION = {
    "application_name": "orbital-gateway",
    # Plans cached while a table was empty are four times slower on a full one.
    "plan_cache_mode": "force_custom_plan",
    # Hot rows are in memory: a batch looks them up by index instead of reading the table.
    "random_page_cost": "1.1",
    # Batches are short: compiling a plan would take longer than running it.
    "jit": "off",
}
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    # What a backend says while its server goes down: a listener hears it as well as a caller.
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn the driver's exceptions about a lost server, and a deadlock, into Unavailable: the caller tries again."""
    try:
        yield
    except asyncpg.DeadlockDetectedError as error:
        raise Unavailable("Another change was in the way; nothing is lost, try again", reason=CONTENDED) from error
    except LOST as error:
        raise Unavailable(
            "The database does not answer; nothing is lost, try again", reason="STORE_UNAVAILABLE"
        ) from error


@asynccontextmanager
async def open_pool(settings: PostgresSettings) -> AsyncIterator[Pool]:
    """A pool on a database whose schema is up to date; waits for a server that is still starting."""
    pool = asyncpg.create_pool(
        host=settings.host,
        port=settings.port,
        database=settings.database,
        user=settings.user,
        password=read_secret(settings.password_file).get_secret_value(),
        min_size=2,
        max_size=settings.connections,
        command_timeout=settings.seconds,
        server_settings=SESSION,
        reset=_leave,
    )
    while True:
        try:
            await pool
            break
        except LOST:
            log.info("waiting for PostgreSQL")
            await asyncio.sleep(0.2)
    try:
        async with pool.acquire() as connection:
            await migrate(connection)
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except (TimeoutError, *LOST):
            pool.terminate()


async def _leave(_connection: object) -> None:
    """What is set is set for a transaction: there is nothing to ask the server to forget, after each statement."""


async def migrate(connection: Connection) -> None:
    """Bring the schema forward, a transaction a file, one process at a time; raises Invalid on a changed file."""
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL)")
        done = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT name, checksum FROM migration")}
        folder = resources.files(__package__) / "migrations"
        for file in sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda f: f.name):
            text = file.read_text()
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if file.name not in done:
                async with connection.transaction():
                    await connection.execute(text)
                    await connection.execute("INSERT INTO migration VALUES ($1, $2)", file.name, checksum)
            elif done[file.name] != checksum:
                raise Invalid(f"The migration {file.name} was applied in another form", reason="MIGRATION_CHANGED")
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)


async def listen(pool: Pool, channel: str, heard: Callable[[str], None]) -> None:
    """Call `heard` with each notification, and with "" after every (re)connection, since some may have been lost."""
    while True:
        try:
            async with pool.acquire() as connection:
                lost = asyncio.Event()
                connection.add_termination_listener(lambda *_, lost=lost: lost.set())

                def hear(*arguments: object) -> None:
                    heard(str(arguments[3]))

                await connection.add_listener(channel, hear)
                try:
                    heard("")
                    await lost.wait()
                finally:
                    if not connection.is_closed():
                        await connection.remove_listener(channel, hear)
        except LOST as error:
            log.warning("notifications lost", channel=channel, error=type(error).__name__)
        await asyncio.sleep(0.2)
