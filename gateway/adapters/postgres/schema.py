"""The schema: migrations in the order of their numbers, each a file and a transaction."""

from __future__ import annotations

import hashlib
from importlib import resources

from gateway.adapters.postgres.database import Connection
from gateway.adapters.postgres.locks import AdvisoryLock
from runtime.errors import Invalid


def migrations() -> dict[str, str]:
    """The text of every migration by its file's name, in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda file: file.name)
    return {file.name: file.read_text() for file in files}


async def migrate(connection: Connection) -> None:
    """Bring the schema forward, a transaction a file, one process at a time; raises Invalid on a changed file."""
    await connection.execute("SELECT pg_advisory_lock($1)", AdvisoryLock.MIGRATIONS)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL)")
        done = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT name, checksum FROM migration")}
        for name, text in migrations().items():
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if name not in done:
                async with connection.transaction():
                    # One that was applied under another number is only noted under this one.
                    if checksum not in done.values():
                        await connection.execute(text)
                    await connection.execute("INSERT INTO migration VALUES ($1, $2)", name, checksum)
            elif done[name] != checksum:
                raise Invalid(f"The migration {name} was applied in another form", reason="MIGRATION_CHANGED")
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", AdvisoryLock.MIGRATIONS)
