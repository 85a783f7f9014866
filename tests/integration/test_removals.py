"""What takes away more than one person may, asked for and decided by two people, on a real PostgreSQL and RabbitMQ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from orbital.v1.approval_pb2 import Approval, ApprovalState, ListApprovalsRequest
from orbital.v1.registry_pb2 import JOB_STATE_CONVERGED, JOB_STATE_CONVERGING, DeclareRequest, RetireRequest
from orbital.v1.resource_pb2 import Resource, Selector, ServiceSpec, TenantSpec

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.flow.approval import ApprovalFlow, SecondPerson
from gateway.flow.removal import ApproveRemoval
from gateway.ports.serving import Caller
from gateway.settings import RabbitMQSettings
from gateway.times import new_correlation_id
from runtime.errors import Conflict, Precondition
from tests.integration.test_departures import LEFT, told
from tests.integration.test_gateway import Gateway, connected, done, estate
from tests.unit.gateway.fakes import FakePolicy

OPERATOR = Caller("spiffe://orbital/person/operator", "d-1")
OTHER = Caller("spiffe://orbital/person/other", "d-2")
OFFICER = Caller("spiffe://orbital/person/officer", "d-3")
SERVICES = [Resource(name=f"tenants/acme/systems/core/services/v{number}", service=ServiceSpec()) for number in (0, 1)]
ELSEWHERE = Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=["eu10"])))
ADORNED = Resource(name="tenants/acme", labels={"tier": "gold"}, tenant=estate()[2].tenant)


@pytest.fixture
async def gateway(pool: Pool, rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[Gateway]:
    """With a tenant of five resources in both regions."""
    async with connected(rabbitmq_settings) as broker:
        made = Gateway(pool, broker)
        await made.receive()
        await made.declare(*estate(), *SERVICES)
        await made.report(*map(done, await made.drive()))
        yield made


@pytest.fixture
def flow(pool: Pool) -> ApprovalFlow:
    database = Database(pool)
    second_person = SecondPerson(FakePolicy(), PostgresTasks(database, "gateway"), "gateway")
    subjects = {"removal": ApproveRemoval(PostgresDesired(database, "gateway"))}
    return ApprovalFlow(PostgresApprovals(database), subjects, second_person, new_correlation_id, 900)


async def leave(gateway: Gateway, caller: Caller = OPERATOR) -> str:
    """Ask that the tenant leaves us20; returns the ID of the request."""
    asked = DeclareRequest(resources=[ELSEWHERE], accept_departures=5, reason="Moved house")
    answer = await gateway.desired.declare(asked, caller)
    assert (answer.needs_approval, answer.correlation_id) == (True, "")
    return answer.approval_id


async def retire(gateway: Gateway, caller: Caller = OPERATOR) -> str:
    """Ask that the tenant is retired; returns the ID of the request."""
    answer = await gateway.desired.retire(RetireRequest(names=["tenants/acme"], reason="Gave notice"), caller)
    assert (answer.needs_approval, answer.correlation_id) == (True, "")
    return answer.approval_id


Ask = Callable[..., Awaitable[str]]
ASKS = {"declare": leave, "retire": retire}


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = ASKS[request.param]
    return found


async def one(flow: ApprovalFlow, identity: str) -> Approval:
    (found,), _ = await flow.approvals(ListApprovalsRequest(id=identity), 2)
    return found


async def test_a_tenant_leaves_a_region_once_a_second_person_approves(gateway: Gateway, flow: ApprovalFlow) -> None:
    identity = await leave(gateway)
    assert await gateway.drive() == []
    found = await one(flow, identity)
    assert (found.subject, found.removal.change, found.removal.removed, found.removal.total) == (
        *("tenants/acme", "declare", 5, 10),
    )
    assert list(found.removal.regions) == ["us20"]
    # Two who approve at once do it once.
    answers = await asyncio.gather(*(flow.approve(identity, OFFICER) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(each, Precondition) or not isinstance(each, BaseException) for each in answers)
    job = await gateway.reads.job(identity)
    assert job is not None
    assert (job.actor, job.state) == (OFFICER.principal, JOB_STATE_CONVERGING)
    tasks = await gateway.drive()
    services = {("us20", "PURGE_KEY", service.name) for service in SERVICES}
    assert told(tasks) >= LEFT
    assert told(tasks) - LEFT <= services
    assert {task.correlation_id for task in tasks if task.region == "us20"} == {identity}
    while tasks:
        await gateway.report(*map(done, tasks))
        tasks = await gateway.drive()
    job = await gateway.reads.job(identity)
    assert job is not None
    assert job.state == JOB_STATE_CONVERGED


async def test_a_tenant_is_retired_once_a_second_person_approves(gateway: Gateway, flow: ApprovalFlow) -> None:
    identity = await retire(gateway)
    assert await gateway.drive() == []
    await flow.approve(identity, OFFICER)
    tasks = await gateway.drive()
    assert {task.region for task in tasks} == {"eu10", "us20"}
    while tasks:
        await gateway.report(*map(done, tasks))
        tasks = await gateway.drive()
    tenant, job = await gateway.reads.resource("tenants/acme"), await gateway.reads.job(identity)
    assert tenant is not None
    assert job is not None
    assert tenant.retired
    assert job.state == JOB_STATE_CONVERGED


async def test_every_step_is_in_the_trail(gateway: Gateway, flow: ApprovalFlow, ask: Ask, pool: Pool) -> None:
    identity = await ask(gateway)
    await flow.approve(identity, OFFICER)
    rows = await pool.fetch(
        "SELECT body FROM audit WHERE kind = 'removal' AND body::jsonb->>'correlation_id' = $1 ORDER BY id", identity
    )
    assert [(body["state"], body["asked_by"], body["decided_by"]) for row in rows for body in [json.loads(row[0])]] == [
        (ApprovalState.APPROVAL_STATE_OPEN, OPERATOR.principal, ""),
        (ApprovalState.APPROVAL_STATE_APPROVED, OPERATOR.principal, OFFICER.principal),
    ]


async def test_what_changed_meanwhile_is_not_carried_out(gateway: Gateway, flow: ApprovalFlow, ask: Ask) -> None:
    identity = await ask(gateway)
    await gateway.declare(ADORNED)
    await gateway.drive()
    with pytest.raises(Precondition) as refused:
        await flow.approve(identity, OFFICER)
    assert refused.value.reason == "STALE_GENERATION"
    assert (await one(flow, identity)).state == ApprovalState.APPROVAL_STATE_OPEN
    assert await gateway.reads.job(identity) is None
    assert await gateway.drive() == []


async def test_what_is_declined_or_too_old_is_not_carried_out(
    gateway: Gateway, flow: ApprovalFlow, ask: Ask, pool: Pool
) -> None:
    declined = await ask(gateway)
    await flow.decline(declined, "Not today", OFFICER)
    late = await ask(gateway)
    assert late != declined
    await pool.execute("UPDATE approval SET expires_at = now() WHERE id = $1", late)
    for identity in (declined, late):
        with pytest.raises(Precondition) as refused:
            await flow.approve(identity, OFFICER)
        assert refused.value.reason == "REQUEST_CLOSED"
        assert await gateway.reads.job(identity) is None
    assert await gateway.drive() == []


async def test_the_same_is_asked_for_once(gateway: Gateway, ask: Ask) -> None:
    identity = await ask(gateway)
    assert await ask(gateway) == identity
    with pytest.raises(Conflict) as refused:
        await ask(gateway, OTHER)
    assert refused.value.reason == "ALREADY_ASKED"
