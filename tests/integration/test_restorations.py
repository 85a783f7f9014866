"""Restorations on a real PostgreSQL."""

import asyncio
import json

import pytest
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState
from orbital.v1.restore_pb2 import RestorationState

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.restore import PostgresRestore
from gateway.adapters.postgres.see import PostgresSight
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.flow.desired import Desired
from gateway.flow.restore import Restore
from gateway.main import new_correlation_id
from gateway.ports.serving import Caller
from runtime.errors import Conflict, Precondition
from tests.integration.test_gateway import estate
from tests.unit.gateway.fakes import FakePolicy

OPERATOR = Caller("spiffe://orbital/person/operator", "d-1")
OFFICER = Caller("spiffe://orbital/person/officer", "d-2")


@pytest.fixture
async def desired(pool: Pool) -> Desired:
    """With a tenant that was killed."""
    made = Desired(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    await made.declare(DeclareRequest(resources=estate()), OPERATOR)
    await made.kill(KillRequest(tenant="acme", reason="breach"), OFFICER)
    return made


def restoring(pool: Pool, seconds: float = 900) -> Restore:
    tasks = PostgresTasks(Database(pool), "gateway")
    return Restore(
        PostgresRestore(Database(pool), "gateway"), FakePolicy(), tasks, new_correlation_id, "gateway", seconds
    )


async def test_a_killed_tenant_comes_back_and_everything_is_in_the_trail(pool: Pool, desired: Desired) -> None:
    restore = restoring(pool)
    with pytest.raises(Precondition, match="orbital restore") as raised:
        await desired.declare(DeclareRequest(resources=estate()), OPERATOR)
    assert raised.value.reason == "TENANT_KILLED"
    asked = await restore.ask("acme", "false alarm", OPERATOR, validate_only=False)
    assert (list(asked.links), list(asked.regions), asked.expire_time.seconds - asked.ask_time.seconds) == (
        *(["core"], ["eu10", "us20"]),
        900,
    )
    # Two who approve at once restore it once.
    answers = await asyncio.gather(*(restore.approve(asked.id, OFFICER) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(one, Precondition) or not isinstance(one, BaseException) for one in answers)
    sight = PostgresSight(Database(pool))
    tenant, link = (await sight.resource("tenants/acme")), (await sight.resource("tenants/acme/links/core"))
    assert tenant is not None
    assert link is not None
    assert (tenant.tenant.state, link.link.state) == (TenantState.TENANT_STATE_ACTIVE, LinkState.LINK_STATE_LINKED)
    assert (tenant.generation, link.generation) == (3, 3)
    job = await sight.job(asked.id)
    assert job is not None
    assert (job.action, job.actor, job.total) == ("restore acme", OFFICER.principal, 4)
    lanes = await pool.fetch("SELECT DISTINCT lane FROM placement WHERE correlation_id = $1", asked.id)
    assert [row["lane"] for row in lanes] == [1]
    assert (await desired.declare(DeclareRequest(resources=estate()), OPERATOR)).correlation_id == ""
    trail = await pool.fetch("SELECT body FROM audit WHERE kind = 'restoration' ORDER BY id DESC LIMIT 2")
    told = [json.loads(row["body"]) for row in reversed(trail)]
    assert [(one["state"], one["asked_by"], one["decided_by"]) for one in told] == [
        (1, OPERATOR.principal, ""),
        (2, OPERATOR.principal, OFFICER.principal),
    ]


async def test_one_request_a_tenant_until_its_time_is_over(pool: Pool, desired: Desired) -> None:
    first = await restoring(pool).ask("acme", "why", OPERATOR, validate_only=False)
    with pytest.raises(Conflict, match=first.id):
        await restoring(pool).ask("acme", "why", OFFICER, validate_only=False)
    await pool.execute("UPDATE restoration SET expires_at = now()")
    (old,) = await restoring(pool).restorations(first.id, 1)
    assert old.state == RestorationState.RESTORATION_STATE_EXPIRED
    with pytest.raises(Precondition, match="not open"):
        await restoring(pool).approve(first.id, OFFICER)
    second = await restoring(pool).ask("acme", "why", OFFICER, validate_only=False)
    found = await restoring(pool).restorations("", 10)
    assert [one.id for one in found] == [second.id, first.id]
    tenant = await PostgresSight(Database(pool)).resource("tenants/acme")
    assert tenant is not None
    assert tenant.tenant.state == TenantState.TENANT_STATE_KILLED


async def test_what_is_declared_while_it_is_killed_is_kept(pool: Pool, desired: Desired) -> None:
    restore = restoring(pool)
    asked = await restore.ask("acme", "why", OPERATOR, validate_only=False)
    labelled = Resource(name="tenants/acme", labels={"tier": "gold"}, tenant=estate()[2].tenant)
    await desired.declare(DeclareRequest(resources=[labelled]), OPERATOR)
    with pytest.raises(Precondition, match="has changed"):
        await restore.approve(asked.id, OFFICER)
    await restore.decline(asked.id, "changed", OFFICER)
    again = await restore.ask("acme", "why", OPERATOR, validate_only=False)
    assert list(again.links) == ["core"]
    await restore.approve(again.id, OFFICER)
    tenant = await PostgresSight(Database(pool)).resource("tenants/acme")
    assert tenant is not None
    assert (tenant.labels["tier"], tenant.tenant.state) == ("gold", TenantState.TENANT_STATE_ACTIVE)
