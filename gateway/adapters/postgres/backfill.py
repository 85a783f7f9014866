"""What an older release did not store, worked out from what it did: columns that no SQL can fill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.pool import open_database
from gateway.domain.links import key_of
from gateway.settings import PostgresSettings


@asynccontextmanager
async def open_store(settings: PostgresSettings) -> AsyncIterator[Database]:
    """The database; its schema, and what is stored in it, are up to date."""
    async with open_database(settings) as database:
        await fill_l1(database)
        yield database


async def fill_l1(database: Database) -> None:
    """Store with each Link the L1 key that it names, where that is missing."""
    rows = await database.fetch("links_without_l1")
    if rows:
        keys = [key_of(Resource.FromString(row["body"])).text for row in rows]
        await database.execute("fill_l1", [row["id"] for row in rows], keys)
