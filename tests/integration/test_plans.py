"""The plans that PostgreSQL makes for the statements of a hot path."""

import uuid

import pytest

from gateway.adapters.postgres.pool import Pool
from gateway.adapters.postgres.queries import SQL


@pytest.mark.parametrize("random_page_cost", [1.1, 4])
async def test_reports_are_never_compared_with_every_task(pool: Pool, random_page_cost: float) -> None:
    """A table analysed while every task was done made the planner expect one open task, and compare all with all."""
    await pool.execute(
        "INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id, state)"
        " SELECT gen_random_uuid(), 1, 'eu10', 'acme', 1, 2, 1, 'c', 3 FROM generate_series(1, 40000)"
    )
    words, times = ["x"] * 500, [1.0] * 500
    reports = ([uuid.uuid4() for _ in words], words, [3] * 500, words, words, words, times, times, times)
    async with pool.acquire() as connection:
        await connection.execute("ANALYZE task")
        await connection.execute(f"SET random_page_cost = {random_page_cost}")
        lines = await connection.fetch(f"EXPLAIN (COSTS OFF) {SQL['finish_tasks']}", *reports)
    plan = "\n".join(line[0] for line in lines)
    assert "Function Scan on u" in plan
    assert "Join Filter" not in plan, plan
