"""What PostgreSQL does to a whole stack ends no process; a kill arrives afterwards, and the logs hold no traceback."""

from __future__ import annotations

import asyncio
import time
import uuid

import asyncpg
import pytest
from orbital.v1 import registry_pb2 as registry

from tests.fuzz.watch import logs, parts, tracebacks
from tests.integration.test_database_errors import FAULTS
from tests.system.world import SECONDS, World, retried, tenancy

FAULT_SECONDS = 3.0
TRIED = [name for name in FAULTS if not name.startswith("SQLSTATE")] + [
    "SQLSTATE 53100", "SQLSTATE 57P01", "SQLSTATE 40P01", "SQLSTATE ZZ999",
]  # fmt: skip


async def stand(world: World, name: str) -> None:
    """Begin the fault, keep it up for its time, and end it."""
    fault = FAULTS[name]
    password = (world.place / "secrets" / "postgres-superuser").read_text().strip()
    host = f"{world.state.run}-pg"
    admin = await asyncpg.connect(host=host, database="orbital", user="postgres", password=password)
    try:
        over = time.monotonic() + FAULT_SECONDS
        for statement in fault.begin:
            await admin.execute(statement)
        while time.monotonic() < over:
            await asyncio.sleep(fault.again or FAULT_SECONDS)
            if fault.again:
                await admin.execute(fault.begin[0])
    finally:
        for statement in fault.end:
            await admin.execute(statement)
        await admin.close()


@pytest.mark.parametrize("name", TRIED)
def test_no_process_ends_and_a_kill_arrives_afterwards(world: World, name: str) -> None:
    tenant = f"db-{uuid.uuid4().hex[:6]}"
    world.declare(tenancy(tenant))
    world.converged(tenant=tenant)
    pids = {part: pid for part, (pid, _) in parts(world).items()}
    written = logs(world)
    asyncio.run(stand(world, name))

    def kill() -> registry.KillResponse:
        with world.registry() as stub:
            return stub.Kill(registry.KillRequest(tenant=tenant, reason="breach"), timeout=SECONDS)

    retried(kill)
    world.converged(tenant=tenant)
    assert {part: pid for part, (pid, _) in parts(world).items()} == pids
    assert not tracebacks(written)
