"""Migrations on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from orbital.v1.approval_pb2 import ApprovalState, ListApprovalsRequest

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.schema import migrate, migrations
from runtime.errors import Invalid
from stack.state import State


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


MOMENT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
STATES = (
    ApprovalState.APPROVAL_STATE_OPEN,
    ApprovalState.APPROVAL_STATE_APPROVED,
    ApprovalState.APPROVAL_STATE_DECLINED,
    ApprovalState.APPROVAL_STATE_EXPIRED,
)
ONE_REQUEST = "0060_approvals.sql"
DECIDED = "id, reason, asked_by, asked_at, expires_at, state, decided_by, decided_at, decline_reason"


@pytest.fixture
async def before(parts: tuple[Path, State], owner: Pool) -> AsyncIterator[Pool]:
    """A schema of its own, as it was before requests of every kind were one table."""
    place, state = parts
    password = (place / "secrets" / "postgres-owner").read_text().strip()
    login = {"host": f"{state.run}-pg", "database": "orbital", "user": "orbital_owner", "password": password}
    await owner.execute("CREATE SCHEMA before")
    try:
        async with asyncpg.create_pool(
            **login, min_size=1, max_size=2, server_settings={"search_path": "before"}
        ) as pool:
            for name, text in migrations().items():
                if name < ONE_REQUEST:
                    await pool.execute(text)
            yield pool
    finally:
        await owner.execute("DROP SCHEMA before CASCADE")


def decided(number: int, state: int) -> tuple[object, ...]:
    """What both of the old tables had of a request."""
    over = state in STATES[1:3]
    asked = MOMENT + timedelta(minutes=number)
    who, when, why = ("officer", asked, "not now — nó") if over else ("", None, "")
    return (
        f"{number:032x}",
        f"reason {number} ' \" é",
        "operator",
        asked,
        asked + timedelta(minutes=15),
        state,
        who,
        when,
        why,
    )


async def test_requests_from_before_they_were_one_kind_are_kept(before: Pool) -> None:
    links = ([], ["core"], ["core", "a-b", 'x"y'])
    for number, state in enumerate(STATES):
        await before.execute(
            f"INSERT INTO restoration ({DECIDED}, tenant, generation, links) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            *decided(number, state),
            f"t{number}",
            2**62 + number,
            links[number % 3],
        )
        await before.execute(
            f"INSERT INTO decommission ({DECIDED}, region, placements, tenants, unproven, contacted_at, serve_until) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            *decided(100 + number, state),
            f"r{number}",
            *(number, number * 2, number * 3),
            MOMENT if number % 2 else None,
            MOMENT + timedelta(hours=1) if number > 2 else None,
        )
    await before.execute(
        "WITH made AS (INSERT INTO resource (name, kind, body, generation, effect_generation, correlation_id) "
        "VALUES ('tenants/t', 2, '', 1, 1, 'c') RETURNING id) "
        "INSERT INTO lost_placement SELECT $1, id, 3, 4, 1, $2 FROM made",
        *(f"{101:032x}", MOMENT),
    )
    async with before.acquire() as connection, connection.transaction():
        await connection.execute(migrations()[ONE_REQUEST])
    store = PostgresApprovals(Database(before))
    found, more = await store.approvals(ListApprovalsRequest(), 100)
    assert more == ""
    assert [one.id for one in found] == [f"{number:032x}" for number in (103, 102, 101, 100, 3, 2, 1, 0)]
    kept = {one.id: one for one in found}
    for number, state in enumerate(STATES):
        restored, gone = kept[f"{number:032x}"], kept[f"{100 + number:032x}"]
        for one, begin in ((restored, number), (gone, 100 + number)):
            identity, reason, asked_by, asked, expires, _, who, when, why = decided(begin, state)
            # An open one is past its end by now.
            told = ApprovalState.APPROVAL_STATE_EXPIRED if state == STATES[0] else state
            assert (one.id, one.reason, one.asked_by, one.state) == (identity, reason, asked_by, told)
            assert (one.ask_time.ToDatetime(UTC), one.expire_time.ToDatetime(UTC)) == (asked, expires)
            assert (one.decided_by, one.decline_reason) == (who, why)
            assert (one.decide_time.ToDatetime(UTC) if one.HasField("decide_time") else None) == when
        assert (restored.subject, restored.restoration.tenant) == (f"tenants/t{number}", f"t{number}")
        assert restored.restoration.generation == 2**62 + number
        assert list(restored.restoration.links) == links[number % 3]
        region = gone.decommission
        assert (gone.subject, region.region) == (f"regions/r{number}", f"r{number}")
        assert (region.placements, region.tenants, region.unproven) == (number, number * 2, number * 3)
        assert region.HasField("last_contact_at") == bool(number % 2)
        assert not number % 2 or region.last_contact_at.ToDatetime(UTC) == MOMENT
        assert region.HasField("serve_until") == (number > 2)
    lost = await before.fetchrow("SELECT approval_id, observed_generation, desired_generation FROM lost_placement")
    assert tuple(lost) == (f"{101:032x}", 3, 4)
    # None of it is a new step of anybody's: the trail says of each what it said before.
    told = await before.fetch("SELECT kind, count(*) AS steps FROM audit GROUP BY kind ORDER BY kind")
    assert [(row["kind"], row["steps"]) for row in told if row["kind"] in {"restoration", "decommission"}] == [
        ("decommission", len(STATES)),
        ("restoration", len(STATES)),
    ]
