"""The schema: migrations in the order of their numbers, each a file and a transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources

from gateway.adapters.postgres.database import Connection, Raw
from gateway.adapters.postgres.locks import AdvisoryLock
from runtime.errors import Invalid, Unavailable


def migrations() -> dict[str, str]:
    """The text of every migration by its file's name, in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda file: file.name)
    return {file.name: file.read_text() for file in files}


async def migrate(connection: Connection | Raw) -> None:
    """As the owner, bring the schema forward, a transaction a file, one process at a time.

    Raises Invalid on a changed file.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", AdvisoryLock.MIGRATIONS)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL)")
        done = await _done(connection)
        for name, (text, checksum) in _left(done).items():
            async with connection.transaction():
                # One that was applied under another number is only noted under this one.
                if checksum not in done.values():
                    await connection.execute(text)
                await connection.execute("INSERT INTO migration VALUES ($1, $2)", name, checksum)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", AdvisoryLock.MIGRATIONS)


async def entitle(connection: Connection | Raw, writer: str) -> None:
    """As the owner, give the gateways' role what it needs: it can write the audit trail by triggers alone."""
    text = (resources.files(__package__) / "grants.sql").read_text()
    names = await connection.fetchrow(
        "SELECT quote_ident($1) AS writer, quote_ident(current_database()) AS database", writer
    )
    assert names is not None
    async with connection.transaction():
        await connection.execute(text.replace("{writer}", names["writer"]).replace("{database}", names["database"]))


async def check_schema(connection: Connection) -> None:
    """As a gateway, see that the schema is this release's, and that this role does not own the audit trail.

    Raises Invalid on a changed migration, and Unavailable while the owner has something left to do.
    """
    row = await connection.fetchrow(
        "SELECT to_regclass('migration') IS NOT NULL AS made, to_regclass('audit') IS NOT NULL AND pg_has_role("
        "(SELECT relowner FROM pg_class WHERE oid = to_regclass('audit')), 'MEMBER') AS owned"
    )
    assert row is not None
    if row["owned"]:
        raise Unavailable(
            "The gateway's role owns the audit trail, and so could alter it; it has to be another than the owner's",
            reason="ROLE_OWNS_AUDIT",
        )
    left = _left(await _done(connection) if row["made"] else {})
    if left:
        raise Unavailable(f"The migration {next(iter(left))} was not applied yet", reason="SCHEMA_BEHIND")


async def _done(connection: Connection | Raw) -> dict[str, str]:
    return {row["name"]: row["checksum"] for row in await connection.fetch("SELECT name, checksum FROM migration")}


def _left(done: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Text and checksum of those that were not applied yet; raises Invalid on one that was applied in another form."""
    left = {}
    for name, text in migrations().items():
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if done.get(name, checksum) != checksum:
            raise Invalid(f"The migration {name} was applied in another form", reason="MIGRATION_CHANGED")
        if name not in done:
            left[name] = (text, checksum)
    return left
