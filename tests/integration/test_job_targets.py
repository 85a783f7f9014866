"""What a change has to bring about, whatever later changes do to its placements, on a real PostgreSQL and broker."""

from __future__ import annotations

import asyncpg
import pytest
from orbital.v1.registry_pb2 import (
    JOB_STATE_CONVERGED,
    JOB_STATE_CONVERGING,
    JOB_STATE_SUPERSEDED,
    Job,
    KillRequest,
    RetireRequest,
)
from orbital.v1.resource_pb2 import Resource, ServiceSpec, SystemSpec
from orbital.v1.task_pb2 import TaskKind

from runtime.errors import Precondition
from tests.integration.test_gateway import CALLER, REGIONS, Gateway, done, estate, gateway, placements

__all__ = ["gateway"]
LINK = "tenants/acme/links/core"


async def everywhere(gateway: Gateway) -> None:
    """The estate, declared and converged."""
    await gateway.declare(*estate())
    await gateway.report(*(done(task) for task in await gateway.drive()))


async def job_of(gateway: Gateway, correlation_id: str) -> Job:
    job = await gateway.reads.job(correlation_id)
    assert job is not None
    return job


async def kill(gateway: Gateway) -> str:
    answer = await gateway.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    return answer.correlation_id


def renamed(**labels: str) -> list[Resource]:
    """The tenant and its Link with other labels; a Link of a killed tenant stays unlinked."""
    tenant, link = estate(**labels)[2], estate()[-1]
    link.labels.update(labels)
    link.link.state = 2
    return [tenant, link]


async def test_a_kill_is_not_done_because_its_tenant_was_relabelled(gateway: Gateway) -> None:
    await everywhere(gateway)
    killed = await kill(gateway)
    here = [task for task in await gateway.drive() if task.region == "eu10"]
    await gateway.report(*(done(task) for task in here))
    later = await gateway.declare(*renamed(tier="gold"))
    for _ in range(2):
        await gateway.reports.converge_all()
        job = await job_of(gateway, killed)
        assert (job.state, job.converged, job.total, job.HasField("end_time")) == (JOB_STATE_CONVERGING, 2, 4, False)
        assert [(one.region, one.behind) for one in job.regions] == [("us20", 2)]
        await gateway.pool.execute("UPDATE placement SET correlation_id = correlation_id")
    # The revocation goes on lane 0, and its receipt counts for the kill as well.
    tasks = [task for task in await gateway.drive() if task.region == "us20"]
    assert {(task.kind, task.lane) for task in tasks} == {(TaskKind.TASK_KIND_UNLINK_KEY, 0)}
    await gateway.report(*(done(task) for task in tasks if task.correlation_id == later.correlation_id))
    assert (await job_of(gateway, killed)).state == JOB_STATE_CONVERGED
    assert (await job_of(gateway, killed)).converged == 4


async def test_a_kill_is_driven_on_lane_zero_beside_the_retirement_of_its_tenant(gateway: Gateway) -> None:
    await everywhere(gateway)
    killed = await kill(gateway)
    retired = await gateway.desired.retire(RetireRequest(names=["tenants/acme"], reason="left"), CALLER)
    tasks = [task for task in await gateway.drive() if task.resource.name == "tenants/acme"]
    kinds = {(task.kind, task.lane, task.resource.retired, task.correlation_id) for task in tasks}
    assert kinds == {
        (TaskKind.TASK_KIND_UNLINK_KEY, 0, False, killed),
        (TaskKind.TASK_KIND_RETIRE_TENANT, 1, True, retired.correlation_id),
    }


async def test_a_retirement_that_is_proved_proves_the_kill_before_it(gateway: Gateway) -> None:
    await everywhere(gateway)
    killed = await kill(gateway)
    retired = await gateway.desired.retire(RetireRequest(names=["tenants/acme"], reason="left"), CALLER)
    tasks = [task for task in await gateway.drive() if task.correlation_id == retired.correlation_id]
    await gateway.report(*(done(task) for task in tasks if task.kind == TaskKind.TASK_KIND_UNLINK_KEY))
    assert (await job_of(gateway, killed)).converged == 2
    await gateway.report(*(done(task) for task in tasks))
    assert (await job_of(gateway, killed)).state == JOB_STATE_CONVERGED


async def test_what_is_linked_again_supersedes_the_revocation_by_name(gateway: Gateway) -> None:
    await everywhere(gateway)
    off = estate()[-1]
    off.link.state = 2
    unlinked = await gateway.declare(off)
    first = [task for task in await gateway.drive() if task.region == "eu10"]
    await gateway.report(*(done(task) for task in first))
    again = await gateway.declare(estate()[-1])
    job = await job_of(gateway, unlinked.correlation_id)
    assert (job.state, job.converged, job.superseded) == (JOB_STATE_SUPERSEDED, 1, 1)
    assert list(job.superseded_by) == [again.correlation_id]
    assert not job.HasField("converge_time")
    kinds = {
        row["kind"]
        for row in await gateway.pool.fetch("SELECT kind FROM audit WHERE body LIKE $1", f"%{unlinked.correlation_id}%")
    }
    assert "superseded" in kinds
    assert "converged" not in kinds


async def test_a_change_whose_placements_others_took_is_superseded_and_not_converged(gateway: Gateway) -> None:
    first = await gateway.declare(*estate())
    second = await gateway.declare(*estate(tier="gold"))
    job = await job_of(gateway, first.correlation_id)
    # The System and the Link are still its own.
    assert (job.state, job.superseded, list(job.superseded_by)) == (JOB_STATE_CONVERGING, 2, [second.correlation_id])
    await gateway.report(*(done(task) for task in await gateway.drive()))
    job = await job_of(gateway, first.correlation_id)
    assert (job.state, job.converged, job.superseded) == (JOB_STATE_SUPERSEDED, 4, 2)


async def test_a_revocation_without_a_receipt_is_driven_until_there_is_one(gateway: Gateway) -> None:
    await everywhere(gateway)
    killed = await kill(gateway)
    await gateway.report(*(done(task, receipt=b"") for task in await gateway.drive()))
    assert (await job_of(gateway, killed)).converged == 0
    await gateway.report(*(done(task) for task in await gateway.drive()))
    assert (await job_of(gateway, killed)).state == JOB_STATE_CONVERGED


@pytest.mark.parametrize(
    "statement",
    ["UPDATE placement SET correlation_id = 'other'", "DELETE FROM placement"],
)
async def test_no_statement_takes_a_placement_from_its_change_unrecorded(gateway: Gateway, statement: str) -> None:
    await gateway.declare(*estate())
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await gateway.pool.execute(statement)
    await gateway.report(*(done(task) for task in await gateway.drive()))
    await gateway.pool.execute(statement)


async def test_a_retirement_purges_everything_beneath_and_leaves_tombstones(gateway: Gateway) -> None:
    service = Resource(name="tenants/acme/systems/core/services/pay", service=ServiceSpec())
    await gateway.declare(*estate(), service)
    await gateway.report(*(done(task) for task in await gateway.drive()))
    request = RetireRequest(names=["tenants/acme"], reason="the customer left", validate_only=True)
    assert (await gateway.desired.retire(request, CALLER)).correlation_id == ""
    request.validate_only = False
    answer = await gateway.desired.retire(request, CALLER)
    assert [change.name.rpartition("/")[2] for change in answer.changes] == ["core", "pay", "core", "acme"]
    tasks = await gateway.drive()
    assert {(task.kind, task.lane, task.resource.retired) for task in tasks} == {
        (TaskKind.TASK_KIND_UNLINK_KEY, 0, True),
        (TaskKind.TASK_KIND_PURGE_KEY, 1, True),
        (TaskKind.TASK_KIND_RETIRE_TENANT, 1, True),
    }
    assert len(tasks) == 4 * len(REGIONS)
    assert len(await placements(gateway, tenant="acme")) == len(tasks)
    await gateway.report(*(done(task) for task in tasks))
    job = await gateway.reads.job(answer.correlation_id)
    assert job is not None
    assert job.HasField("converge_time")
    # Tombstones stay, and are seen only by whoever asks.
    assert await placements(gateway, tenant="acme") == []
    for retired in (False, True):
        page = await gateway.reads.resources(2, "", 10, "", retired=retired)
        assert [item.name for item in page.resources] == ["tenants/acme"] * retired
    with pytest.raises(Precondition):
        await gateway.declare(*estate())
    with pytest.raises(Precondition):
        await gateway.desired.kill(KillRequest(tenant="acme", reason="late"), CALLER)
    again = await gateway.desired.retire(request, CALLER)
    assert (again.correlation_id, list(again.changes)) == ("", [])


async def test_an_emergency_rotation_is_driven_on_lane_zero(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    await gateway.report(*(done(task) for task in await gateway.drive()))
    system = Resource(name="tenants/acme/systems/core", system=SystemSpec(key_version=2, key_compromised_below=2))
    await gateway.declare(system)
    tasks = await gateway.drive()
    assert {(task.kind, task.lane) for task in tasks} == {(TaskKind.TASK_KIND_EMERGENCY_ROTATE, 0)}
