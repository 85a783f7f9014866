"""Tenants that leave regions and come back, on a real PostgreSQL and RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from orbital.v1.registry_pb2 import (
    JOB_STATE_CONVERGED,
    JOB_STATE_CONVERGING,
    JOB_STATE_SUPERSEDED,
    JobState,
    KillRequest,
    PlacementFilter,
)
from orbital.v1.resource_pb2 import LinkState, Resource, Selector, TenantSpec
from orbital.v1.task_pb2 import Task, TaskKind

from gateway.adapters.postgres.database import Pool
from gateway.settings import RabbitMQSettings
from tests.integration.test_gateway import CALLER, Gateway, connected, done, estate

LEFT = {
    ("us20", "UNLINK_KEY", "tenants/acme/links/core"),
    ("us20", "PURGE_KEY", "tenants/acme/systems/core"),
    ("us20", "RETIRE_TENANT", "tenants/acme"),
}


def acme(*regions: str) -> Resource:
    return Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=regions)))


@pytest.fixture
async def gateway(pool: Pool, rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[Gateway]:
    """With a tenant that is in both regions."""
    async with connected(rabbitmq_settings) as broker:
        made = Gateway(pool, broker)
        await made.receive()
        await made.declare(*estate())
        await made.report(*map(done, await made.drive()))
        yield made


def told(tasks: Sequence[Task]) -> set[tuple[str, str, str]]:
    return {
        (task.region, TaskKind.Name(task.kind).removeprefix("TASK_KIND_"), task.resource.name)
        for task in tasks
        if task.region == "us20"
    }


async def placed(gateway: Gateway) -> list[tuple[str, bool]]:
    found = await gateway.reads.placements(PlacementFilter(region="us20"), 100, "")
    return [(one.resource, one.leaving) for one in found.placements]


async def state(gateway: Gateway, correlation_id: str) -> JobState.ValueType:
    job = await gateway.reads.job(correlation_id)
    assert job is not None
    return job.state


async def test_what_leaves_is_unlinked_and_purged_and_then_gone(gateway: Gateway) -> None:
    answer = await gateway.declare(acme("eu10"))
    assert answer.departures == 3
    tasks = await gateway.drive()
    assert told(tasks) == LEFT
    assert all(
        task.departure and (task.resource.retired or task.resource.HasField("link"))
        for task in tasks
        if task.region == "us20"
    )
    (link,) = [task for task in tasks if task.kind == TaskKind.TASK_KIND_UNLINK_KEY]
    assert link.resource.link.state == LinkState.LINK_STATE_UNLINKED
    assert {leaving for _, leaving in await placed(gateway)} == {True}
    unproven = [done(task, receipt=b"") for task in tasks]
    await gateway.report(*unproven)
    await gateway.reports.converge_all()
    assert await state(gateway, answer.correlation_id) == JOB_STATE_CONVERGING
    assert len(await placed(gateway)) == 3
    await gateway.report(*map(done, tasks))
    await gateway.reports.converge_all()
    assert await placed(gateway) == []
    assert await state(gateway, answer.correlation_id) == JOB_STATE_CONVERGED
    assert (await gateway.declare(acme("eu10"))).correlation_id == ""


async def test_it_comes_back_by_a_later_generation(gateway: Gateway) -> None:
    await gateway.declare(acme("eu10"))
    left = await gateway.drive()
    await gateway.report(*map(done, left))
    await gateway.reports.converge_all()
    answer = await gateway.declare(acme("eu10", "us20"))
    back = [task for task in await gateway.drive() if task.region == "us20"]
    assert told(back) == {
        ("us20", "DEFINE_TENANT", "tenants/acme"),
        ("us20", "DEFINE_KEY", "tenants/acme/systems/core"),
        ("us20", "LINK_KEY", "tenants/acme/links/core"),
    }
    before = {task.resource.name: task.resource.generation for task in left if task.region == "us20"}
    assert all(task.resource.generation > before[task.resource.name] and not task.departure for task in back)
    assert {leaving for _, leaving in await placed(gateway)} == {False}
    assert await state(gateway, answer.correlation_id) == JOB_STATE_CONVERGING


async def test_a_return_before_the_region_answered_supersedes_the_departure(gateway: Gateway) -> None:
    gone = await gateway.declare(acme("eu10"))
    late = await gateway.drive()
    back = await gateway.declare(acme("eu10", "us20"))
    await gateway.report(*map(done, late))
    await gateway.report(*map(done, await gateway.drive()))
    await gateway.reports.converge_all()
    assert await state(gateway, gone.correlation_id) == JOB_STATE_SUPERSEDED
    assert await state(gateway, back.correlation_id) == JOB_STATE_CONVERGED
    assert len(await placed(gateway)) == 3


async def test_a_kill_reaches_a_region_that_is_about_to_be_left(gateway: Gateway) -> None:
    gone = await gateway.declare(acme("eu10"))
    leaving = await gateway.drive()
    assert told(leaving) == LEFT
    await gateway.report(*(done(task) for task in leaving if task.region == "eu10"))
    killed = await gateway.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    tasks = await gateway.drive()
    assert told(tasks) >= {("us20", "UNLINK_KEY", "tenants/acme"), ("us20", "UNLINK_KEY", "tenants/acme/links/core")}
    await gateway.report(*(done(task) for task in leaving if task.region == "us20"))
    await gateway.report(*map(done, tasks))
    await gateway.reports.converge_all()
    assert await state(gateway, killed.correlation_id) == JOB_STATE_CONVERGED
    assert await state(gateway, gone.correlation_id) == JOB_STATE_CONVERGED
    assert await placed(gateway) == []
