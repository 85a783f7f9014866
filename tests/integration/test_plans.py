"""The plans that PostgreSQL makes for the statements of a hot path."""

import re
import uuid

import pytest

from gateway.adapters.postgres.database import Pool
from gateway.adapters.postgres.queries import SQL


@pytest.mark.parametrize("random_page_cost", [1.1, 4])
async def test_reports_are_never_compared_with_every_task(pool: Pool, owner: Pool, random_page_cost: float) -> None:
    """A table analysed while every task was done made the planner expect one open task, and compare all with all."""
    await pool.execute(
        "INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id, state)"
        " SELECT gen_random_uuid(), 1, 'eu10', 'acme', 1, 2, 1, 'c', 3 FROM generate_series(1, 40000)"
    )
    words, times = ["x"] * 500, [1.0] * 500
    reports = (
        [uuid.uuid4() for _ in words],
        words,
        [3] * 500,
        words,
        words,
        words,
        times,
        times,
        times,
        times,
        [1] * 500,
    )
    await owner.execute("ANALYZE task")
    async with pool.acquire() as connection:
        await connection.execute(f"SET random_page_cost = {random_page_cost}")
        lines = await connection.fetch(f"EXPLAIN (COSTS OFF) {SQL['finish_tasks']}", *reports)
    plan = "\n".join(line[0] for line in lines)
    assert "Function Scan on u" in plan
    assert not re.search(r"Join Filter:.*\bid = ", plan), plan


async def test_an_outcome_writes_no_index_again(pool: Pool) -> None:
    identities = [uuid.uuid4() for _ in range(10)]
    words, times = ["eu10"] * 10, [1.0] * 10
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id, state)"
            " SELECT id, 1, 'eu10', 'acme', 1, 2, 1, 'c', 2 FROM unnest($1::uuid[]) AS u (id)",
            identities,
        )
        reports = (identities, words, [3] * 10, words, words, words, times, times, times, times, [1] * 10)
        await connection.execute(SQL["finish_tasks"], *reports)
        counted = await connection.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'task'"
        )
    assert tuple(counted) == (10, 10)


async def test_pending_tasks_are_found_by_their_index(pool: Pool, owner: Pool) -> None:
    await pool.execute(
        "INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id, state)"
        " SELECT gen_random_uuid(), 1, 'eu10', 'acme', 1, 2, 1, 'c', CASE WHEN i % 100 = 0 THEN 1 ELSE 3 END"
        " FROM generate_series(1, 40000) AS i"
    )
    await owner.execute("ANALYZE task")
    lines = await pool.fetch(f"EXPLAIN (COSTS OFF) {SQL['claim']}", 2, 100, [])
    assert "Index Scan using task_pending" in "\n".join(line[0] for line in lines)


async def test_what_became_due_together_is_driven_parents_first_by_its_index(pool: Pool, owner: Pool) -> None:
    await pool.execute(
        "WITH made AS (INSERT INTO resource (name, kind, body, generation, effect_generation, correlation_id)"
        "     SELECT 'tenants/t' || i, 2, '', 1, 1, 'c' FROM generate_series(1, 5000) AS i RETURNING id)"
        " INSERT INTO placement (resource_id, region, task_kind, lane, desired_generation, correlation_id)"
        " SELECT id, 'eu10', 1, 1, 1, 'c' FROM made ORDER BY random()"
    )
    await owner.execute("ANALYZE resource, placement")
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetch(SQL["drifts"], 1, 300)
        lines = await connection.fetch(f"EXPLAIN (COSTS OFF) {SQL['drifts']}", 1, 300)
    first = await pool.fetch("SELECT id FROM resource ORDER BY id LIMIT 300")
    assert [row["resource_id"] for row in found] == [row["id"] for row in first]
    plan = "\n".join(line[0] for line in lines)
    assert "Index Scan using placement_due" in plan
    assert "Sort" not in plan, plan
