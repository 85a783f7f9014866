"""The pool of connections to PostgreSQL, opened once a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.errors import DRIVER, translating
from gateway.adapters.postgres.schema import check_schema
from gateway.settings import PostgresSettings
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.settings import read_secret

log = get_logger(__name__)

CLOSE_SECONDS = 5
CONNECT_SECONDS = 10
RETRY_SECONDS = 0.2
SESSION = {
    "application_name": "orbital-gateway",
    # Plans cached while a table was empty are four times slower on a full one.
    "plan_cache_mode": "force_custom_plan",
    # Hot rows are in memory: a batch looks them up by index instead of reading the table.
    "random_page_cost": "1.1",
    # Batches are short: compiling a plan would take longer than running it.
    "jit": "off",
}


@asynccontextmanager
async def open_database(settings: PostgresSettings) -> AsyncIterator[Database]:
    """The database with its schema up to date; waits for a server that is starting, and for its owner to migrate it."""
    pool = asyncpg.create_pool(
        host=settings.host,
        port=settings.port,
        database=settings.database,
        user=settings.user,
        password=read_secret(settings.password_file).get_secret_value(),
        min_size=2,
        max_size=settings.connections,
        timeout=CONNECT_SECONDS,
        command_timeout=settings.seconds,
        server_settings=SESSION,
        reset=_leave,
    )
    database = Database(pool)
    try:
        await _prepared(database)
        yield database
    finally:
        await _close(pool)


async def _prepared(database: Database) -> None:
    """Connect and wait for the schema, however long that takes; raises Invalid on a migration that was changed."""
    reason = ""
    while True:
        try:
            with translating("connect"):
                await database.pool
            async with database.connection("check the schema") as connection:
                with translating("check the schema"):
                    await check_schema(connection)
        except Unavailable as error:
            if error.reason != reason:
                log.warning("waiting_for_postgres", reason=error.reason, error=error.message)
            reason = error.reason
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except DRIVER:
        pool.terminate()


async def _leave(_connection: object) -> None:
    """What is set is set for a transaction: there is nothing to ask the server to forget, after each statement."""
