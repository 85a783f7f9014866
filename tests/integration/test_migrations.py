"""Migrations on a real PostgreSQL."""

import pytest

from gateway.adapters.postgres.database import Pool
from gateway.adapters.postgres.schema import migrate, migrations
from runtime.errors import Invalid


async def test_a_migration_that_changed_is_refused(owner: Pool) -> None:
    async with owner.acquire() as connection:
        await migrate(connection)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE migration SET checksum = 'other'")
        with pytest.raises(Invalid, match="another form"):
            await migrate(connection)
        await transaction.rollback()


async def test_a_migration_that_has_another_number_now_is_not_applied_again(owner: Pool) -> None:
    async with owner.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        for number, name in (("0006", "edges"), ("0006", "withdrawn"), ("0009", "pending")):
            await connection.execute(
                "UPDATE migration SET name = $1 WHERE name LIKE $2", f"{number}_{name}.sql", f"____\\_{name}.sql"
            )
        await migrate(connection)
        names = {row["name"] for row in await connection.fetch("SELECT name FROM migration")}
        await transaction.rollback()
    assert names >= set(migrations()) | {"0006_edges.sql", "0006_withdrawn.sql", "0009_pending.sql"}
