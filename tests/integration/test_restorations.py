"""Restorations on a real PostgreSQL."""

import asyncio
import json

import pytest
from orbital.v1.approval_pb2 import Approval, ApprovalState, AskApprovalRequest, ListApprovalsRequest
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.flow.approval import ApprovalFlow, SecondPerson
from gateway.flow.desired import DeclarationFlow
from gateway.flow.restore import RestoreTenant
from gateway.ports.serving import Caller
from gateway.times import new_correlation_id
from runtime.errors import Conflict, Precondition
from tests.integration.test_gateway import estate
from tests.unit.gateway.fakes import FakePolicy

OPERATOR = Caller("spiffe://orbital/person/operator", "d-1")
OFFICER = Caller("spiffe://orbital/person/officer", "d-2")


@pytest.fixture
async def desired(pool: Pool) -> DeclarationFlow:
    """With a tenant that was killed."""
    made = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    await made.declare(DeclareRequest(resources=estate()), OPERATOR)
    await made.kill(KillRequest(tenant="acme", reason="breach"), OFFICER)
    return made


def restoring(pool: Pool, seconds: float = 900) -> ApprovalFlow:
    database = Database(pool)
    second_person = SecondPerson(FakePolicy(), PostgresTasks(database, "gateway"), "gateway")
    subjects = {"restoration": RestoreTenant(PostgresDesired(database, "gateway"))}
    return ApprovalFlow(PostgresApprovals(database), subjects, second_person, new_correlation_id, seconds)


async def ask(flow: ApprovalFlow, reason: str = "why", caller: Caller = OPERATOR) -> Approval:
    return await flow.ask(AskApprovalRequest(restore_tenant="acme", reason=reason), caller)


async def listed(flow: ApprovalFlow, identity: str = "") -> list[Approval]:
    found, more = await flow.approvals(ListApprovalsRequest(id=identity), 10)
    assert more == ""
    return list(found)


async def test_a_killed_tenant_comes_back_and_everything_is_in_the_trail(pool: Pool, desired: DeclarationFlow) -> None:
    restore = restoring(pool)
    with pytest.raises(Precondition, match="orbital restore") as raised:
        await desired.declare(DeclareRequest(resources=estate()), OPERATOR)
    assert raised.value.reason == "TENANT_KILLED"
    asked = await ask(restore, "false alarm")
    assert (
        list(asked.restoration.links),
        list(asked.restoration.regions),
        asked.expire_time.seconds - asked.ask_time.seconds,
    ) == (
        *(["core"], ["eu10", "us20"]),
        900,
    )
    # Two who approve at once restore it once.
    answers = await asyncio.gather(*(restore.approve(asked.id, OFFICER) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(one, Precondition) or not isinstance(one, BaseException) for one in answers)
    reads = PostgresReads(Database(pool))
    tenant, link = (await reads.resource("tenants/acme")), (await reads.resource("tenants/acme/links/core"))
    assert tenant is not None
    assert link is not None
    assert (tenant.tenant.state, link.link.state) == (TenantState.TENANT_STATE_ACTIVE, LinkState.LINK_STATE_LINKED)
    assert (tenant.generation, link.generation) == (3, 3)
    job = await reads.job(asked.id)
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


async def test_one_request_a_tenant_until_its_time_is_over(pool: Pool, desired: DeclarationFlow) -> None:
    first = await ask(restoring(pool))
    with pytest.raises(Conflict, match=first.id):
        await ask(restoring(pool), caller=OFFICER)
    await pool.execute("UPDATE approval SET expires_at = now()")
    (old,) = await listed(restoring(pool), first.id)
    assert old.state == ApprovalState.APPROVAL_STATE_EXPIRED
    with pytest.raises(Precondition, match="not open"):
        await restoring(pool).approve(first.id, OFFICER)
    second = await ask(restoring(pool), caller=OFFICER)
    found = await listed(restoring(pool))
    assert [one.id for one in found] == [second.id, first.id]
    tenant = await PostgresReads(Database(pool)).resource("tenants/acme")
    assert tenant is not None
    assert tenant.tenant.state == TenantState.TENANT_STATE_KILLED


async def test_what_is_declared_while_it_is_killed_is_kept(pool: Pool, desired: DeclarationFlow) -> None:
    restore = restoring(pool)
    asked = await ask(restore)
    labelled = Resource(name="tenants/acme", labels={"tier": "gold"}, tenant=estate()[2].tenant)
    await desired.declare(DeclareRequest(resources=[labelled]), OPERATOR)
    with pytest.raises(Precondition, match="has changed"):
        await restore.approve(asked.id, OFFICER)
    await restore.decline(asked.id, "changed", OFFICER)
    again = await ask(restore)
    assert list(again.restoration.links) == ["core"]
    await restore.approve(again.id, OFFICER)
    tenant = await PostgresReads(Database(pool)).resource("tenants/acme")
    assert tenant is not None
    assert (tenant.labels["tier"], tenant.tenant.state) == ("gold", TenantState.TENANT_STATE_ACTIVE)
