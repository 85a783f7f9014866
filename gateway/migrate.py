"""Brings the database's schema forward, as its owner, and gives the gateways' role its rights.

Run as `python -m gateway.migrate`. Gateways wait until this was done; none of them has the owner's password.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
from pydantic import Field

from gateway.adapters.postgres.errors import translating
from gateway.adapters.postgres.schema import entitle, migrate
from gateway.settings import PostgresAddress
from runtime.errors import OrbitalError
from runtime.settings import Settings, read_secret

CONNECT_SECONDS = 10


class OwnerSettings(PostgresAddress):
    """The database, and who owns it."""

    owner: str = Field("orbital_owner", description="The role that owns the database; no gateway logs in as it")
    owner_password_file: Path = Field(description="File with the owner's password")


class MigrateSettings(Settings):
    """What a migration is told."""

    postgres: OwnerSettings


async def main(settings: OwnerSettings) -> None:
    """Migrate; raises Unavailable, or Invalid on a migration that was changed."""
    with translating("migrate"):
        connection = await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            user=settings.owner,
            password=read_secret(settings.owner_password_file).get_secret_value(),
            timeout=CONNECT_SECONDS,
        )
        try:
            await migrate(connection)
            await entitle(connection, settings.user)
        finally:
            await connection.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(MigrateSettings.load().postgres))
    except OrbitalError as error:
        sys.exit(f"{error.reason}: {error.message}")
