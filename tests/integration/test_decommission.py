"""Regions that are gone for good, on a real PostgreSQL: nothing waits for them, and what they may hold is stated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from orbital.v1.approval_pb2 import Approval, ApprovalState, AskApprovalRequest, ListApprovalsRequest
from orbital.v1.registry_pb2 import (
    JOB_STATE_CONVERGED,
    JOB_STATE_GIVEN_UP,
    KillRequest,
    PlacementFilter,
    ResourceKind,
    RetireRequest,
)
from orbital.v1.resource_pb2 import RegionSpec, Resource, Selector, TenantSpec, Transport
from orbital.v1.task_pb2 import KeyState

from gateway.adapters.postgres.approval import PostgresApprovals
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.decommission import PostgresDecommission
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.revocation import PostgresRevocations
from gateway.adapters.rabbitmq.queues import RabbitQueues
from gateway.flow.approval import ApprovalFlow, SecondPerson
from gateway.flow.decommission import DecommissionRegion, QueueCleanup
from gateway.ports.serving import Caller
from gateway.settings import RabbitMQSettings
from gateway.times import new_correlation_id
from runtime.errors import Conflict, NotFound, Precondition
from tests.integration.test_gateway import CALLER, Gateway, connected, done, estate

OFFICER = Caller("spiffe://orbital/person/officer", "d-9")


class Harness(Gateway):
    """A tenant in two regions, of which us20 goes for good."""

    @property
    def flow(self) -> ApprovalFlow:
        database = Database(self.pool)
        second_person = SecondPerson(self.policy, self.tasks, "gateway")
        subjects = {"decommission": DecommissionRegion(PostgresDecommission(database, "gateway"))}
        return ApprovalFlow(PostgresApprovals(database), subjects, second_person, new_correlation_id, 900)

    async def ask(self, region: str = "us20", caller: Caller = CALLER, *, only: bool = False) -> Approval:
        request = AskApprovalRequest(decommission_region=region, reason="flooded", validate_only=only)
        return await self.flow.ask(request, caller)

    async def one(self, identity: str) -> Approval:
        return (await self.flow.approvals(ListApprovalsRequest(id=identity), 1))[0][0]

    async def take_out(self) -> str:
        return (await self.flow.approve((await self.ask()).id, OFFICER)).id

    async def drive_eu(self) -> None:
        """What is told to eu10 is done; us20 hears nothing."""
        tasks = [task for task in await self.drive() if task.region == "eu10"]
        if tasks:
            await self.report(*map(done, tasks))
        await self.reports.converge_all()

    async def placed(self, region: str) -> int:
        return len((await self.reads.placements(PlacementFilter(region=region), 100, "")).placements)


@pytest.fixture
async def harness(pool: Pool, rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[Harness]:
    async with connected(rabbitmq_settings) as broker:
        made = Harness(pool, broker)
        await made.receive()
        resources = estate()
        resources[2].tenant.lease.CopyFrom(Duration(seconds=3600))
        await made.declare(*resources)
        await made.report(*map(done, await made.drive()))
        await made.tasks.contacted([("us20", 0, Transport.TRANSPORT_STREAM)])
        yield made


async def test_a_kill_that_waits_for_it_ends_without_it_and_says_so(harness: Harness) -> None:
    killed = await harness.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    await harness.drive_eu()
    job = await harness.reads.job(killed.correlation_id)
    assert job is not None
    assert not job.HasField("end_time")
    radius = (await harness.ask(only=True)).decommission
    assert (radius.placements, radius.tenants, radius.unproven) == (3, 1, 2)
    assert radius.serve_until.ToDatetime() - radius.last_contact_at.ToDatetime() == timedelta(hours=1)
    identity = await harness.take_out()
    job = await harness.reads.job(killed.correlation_id)
    assert job is not None
    assert (job.state, job.total, job.converged, job.given_up) == (JOB_STATE_GIVEN_UP, 4, 2, 2)
    assert not job.HasField("converge_time")
    assert list(job.lost_regions) == ["us20"]
    (lost,) = await PostgresProofs(Database(harness.pool)).lost(killed.correlation_id)
    people = (lost.asked_by, lost.approved_by)
    assert (lost.region, lost.reason, people) == ("us20", "flooded", (CALLER.principal, OFFICER.principal))
    assert {one.resource: one.key_state for one in lost.resources} == {
        "tenants/acme": KeyState.KEY_STATE_ACTIVE,
        "tenants/acme/links/core": KeyState.KEY_STATE_ACTIVE,
    }
    assert lost.serve_until.ToDatetime() - lost.last_contact_at.ToDatetime() == timedelta(hours=1)
    after = await harness.one(identity)
    assert after.state == ApprovalState.APPROVAL_STATE_APPROVED
    assert (after.decommission.placements, after.decommission.unproven) == (3, 2)
    assert {one.resource: one.observed_generation for one in after.decommission.lost} == {
        "tenants/acme": 1,
        "tenants/acme/systems/core": 1,
        "tenants/acme/links/core": 1,
    }
    by_subject, _ = await harness.flow.approvals(ListApprovalsRequest(subject="regions/us20"), 10)
    assert [one.id for one in by_subject] == [identity]
    assert not (await harness.flow.approvals(ListApprovalsRequest(subject="regions/eu10"), 10))[0]


async def test_later_kills_and_retirements_do_not_wait_for_it_and_their_proof_states_it(harness: Harness) -> None:
    await harness.take_out()
    assert await harness.placed("us20") == 0
    killed = await harness.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    assert (list(killed.regions), list(killed.lost_regions)) == (["eu10"], ["us20"])
    await harness.drive_eu()
    retired = await harness.desired.retire(RetireRequest(names=["tenants/acme"], reason="gone"), CALLER)
    await harness.drive_eu()
    proofs = PostgresProofs(Database(harness.pool))
    for correlation_id in (killed.correlation_id, retired.correlation_id):
        job = await harness.reads.job(correlation_id)
        assert job is not None
        assert job.state == JOB_STATE_CONVERGED
        assert [one.region for one in await proofs.lost(correlation_id)] == ["us20"]


async def test_it_is_revoked_unseen_and_unmatched(harness: Harness) -> None:
    await harness.take_out()
    (mark,) = await PostgresRevocations(Database(harness.pool)).marks()
    assert (mark.region, mark.revoked) == ("us20", True)
    assert [one.resource.name for one in (await harness.reads.regions()).regions] == ["regions/eu10"]
    kept = await harness.reads.resources(ResourceKind.RESOURCE_KIND_REGION, "", 10, "", retired=False)
    assert [one.name for one in kept.resources] == ["regions/eu10"]
    # What names it and is declared no more goes on; what is declared now has to leave it out.
    await harness.declare(Resource(name="regions/eu10", labels={"tier": "gold"}, region=RegionSpec(area="eu")))
    with pytest.raises(Precondition) as refused:
        await harness.declare(estate(label="new")[2])
    assert refused.value.reason == "REGION_RETIRED"
    with pytest.raises(Precondition, match="gone for good"):
        await harness.ask()


async def test_it_comes_back_empty_and_by_later_generations(harness: Harness) -> None:
    await harness.take_out()
    await harness.drive()
    await harness.declare(Resource(name="regions/us20", region=RegionSpec(area="us")))
    back = [task for task in await harness.drive() if task.region == "us20"]
    assert {task.resource.name: task.resource.generation for task in back} == {
        "tenants/acme": 2,
        "tenants/acme/systems/core": 2,
        "tenants/acme/links/core": 2,
    }


async def test_two_requests_at_once_and_unknown_ones(harness: Harness) -> None:
    asked = await harness.ask()
    with pytest.raises(Conflict, match=asked.id):
        await harness.ask(caller=OFFICER)
    await harness.flow.decline(asked.id, "it is dry", OFFICER)
    with pytest.raises(Precondition) as closed:
        await harness.flow.approve(asked.id, OFFICER)
    assert closed.value.reason == "REQUEST_CLOSED"
    assert await harness.placed("us20") == 3
    with pytest.raises(NotFound):
        await harness.flow.approve("nothing", OFFICER)
    with pytest.raises(NotFound):
        await harness.ask("ap30")


async def test_an_empty_region_is_retired_by_one_person_and_another_is_not(harness: Harness) -> None:
    request = RetireRequest(names=["regions/us20"], reason="moved")
    with pytest.raises(Precondition) as refused:
        await harness.desired.retire(request, CALLER)
    assert refused.value.reason == "REGION_NOT_EMPTY"
    assert "orbital region decommission us20" in refused.value.message
    await harness.declare(Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=["eu10"]))))
    await harness.report(*map(done, await harness.drive()))
    await harness.reports.converge_all()
    await harness.desired.retire(request, CALLER)
    assert [one.resource.name for one in (await harness.reads.regions()).regions] == ["regions/eu10"]


async def test_its_queues_are_removed(harness: Harness) -> None:
    queues = RabbitQueues(harness.broker)
    assert await queues.queues("us20")
    await harness.take_out()
    await QueueCleanup(PostgresDecommission(Database(harness.pool), "gateway"), queues).step()
    assert not await queues.queues("us20")
    assert await queues.queues("eu10")
    await queues.close()
