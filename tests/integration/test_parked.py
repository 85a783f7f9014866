"""Tasks that their regions have parked: shown, retried and cancelled, on a real PostgreSQL and broker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from orbital.v1 import parked_pb2 as pb
from orbital.v1.registry_pb2 import (
    JOB_STATE_CONVERGED,
    JOB_STATE_CONVERGING,
    TASK_STATE_CANCELLED,
    TASK_STATE_DONE,
    TASK_STATE_PARKED,
    TASK_STATE_SUPERSEDED,
    Job,
    ListTasksRequest,
    PlacementFilter,
    RetireRequest,
    TaskState,
    TaskStatus,
)
from orbital.v1.resource_pb2 import Resource, TenantSpec
from orbital.v1.task_pb2 import Outcome, Report, Task, TaskKind

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.parked import PostgresParked
from gateway.domain.report import TASK_STATES
from gateway.flow.parked import ParkedTasks
from gateway.times import new_correlation_id
from runtime.errors import Conflict, Invalid, NotFound, Precondition
from runtime.kinds import REVOKING
from tests.integration.test_gateway import CALLER, Gateway, done, estate, gateway

__all__ = ["gateway"]
PAUSE = Duration(seconds=240)


def parked(task: Task, reason: str = "L1_KEY_MISSING") -> tuple[Task, Report]:
    told = done(task, outcome=Outcome.OUTCOME_PARKED, observed_generation=0, reason=reason, message="There is no key.")
    told[1].retry_after.CopyFrom(PAUSE)
    return told


def cancelled(task: Task) -> tuple[Task, Report]:
    return done(
        task, outcome=Outcome.OUTCOME_CANCELLED, observed_generation=0, reason="CANCELLED", message="Cancelled."
    )


@dataclass
class Poisoned:
    """A gateway one of whose tasks is parked in eu10; all the others are done."""

    gateway: Gateway
    parked: ParkedTasks
    change: str
    task: Task

    async def listed(self, **chosen: str) -> list[TaskStatus]:
        return list((await self.parked.page(pb.ListParkedTasksRequest(**chosen), 100)).tasks)

    async def job(self) -> Job:
        job = await self.gateway.reads.job(self.change)
        assert job is not None
        return job

    async def state(self) -> TaskState.ValueType:
        found = await self.gateway.reads.tasks(ListTasksRequest(correlation_id=self.change), 100)
        return next(one.state for one in found.tasks if one.id == self.task.id)

    async def retry(self, **changes: object) -> pb.RetryTasksResponse:
        request = pb.RetryTasksRequest(**{"ids": [self.task.id], "reason": "mended", **changes})  # type: ignore[arg-type]
        return await self.parked.retry(request, CALLER)

    async def cancel(self, **changes: object) -> pb.CancelTasksResponse:
        request = pb.CancelTasksRequest(**{"ids": [self.task.id], "reason": "not wanted", **changes})  # type: ignore[arg-type]
        return await self.parked.cancel(request, CALLER)

    async def sent(self) -> list[Task]:
        await self.gateway.dispatch()
        return await self.gateway.receive()


@pytest.fixture
async def poisoned(gateway: Gateway) -> Poisoned:
    answer = await gateway.declare(*estate())
    tasks = await gateway.drive()
    bad = next(task for task in tasks if task.kind == TaskKind.TASK_KIND_LINK_KEY and task.region == "eu10")
    await gateway.report(*(parked(task) if task is bad else done(task) for task in tasks))
    database = Database(gateway.pool)
    return Poisoned(
        gateway, ParkedTasks(PostgresParked(database, "gateway"), new_correlation_id), answer.correlation_id, bad
    )


async def test_a_parked_task_is_shown_with_its_reason_and_until_when(poisoned: Poisoned) -> None:
    for chosen in ({}, {"tenant": "acme"}, {"region": "eu10"}):
        (one,) = await poisoned.listed(**chosen)
        assert (one.id, one.region, one.state, one.reason) == (
            poisoned.task.id,
            "eu10",
            TASK_STATE_PARKED,
            "L1_KEY_MISSING",
        )
        assert abs(one.retry_time.seconds - one.update_time.seconds - PAUSE.seconds) <= 1
    assert not await poisoned.listed(region="us20")
    assert not await poisoned.listed(tenant="other")
    job = await poisoned.job()
    assert (job.state, job.converged, job.total) == (JOB_STATE_CONVERGING, 5, 6)
    assert [(part.region, part.behind, part.parked, part.reason) for part in job.regions] == [
        ("eu10", 1, 1, "L1_KEY_MISSING")
    ]
    found = await poisoned.gateway.reads.placements(PlacementFilter(drifting_only=True), 10, "")
    assert [one.HasField("retry_time") for one in found.placements] == [True]
    # Nobody sends it before its time.
    await poisoned.gateway.detect()
    assert not await poisoned.sent()


async def test_a_retry_is_a_task_that_goes_by_its_lane(poisoned: Poisoned) -> None:
    answer = await poisoned.retry()
    assert not await poisoned.listed()
    (part,) = (await poisoned.job()).regions
    assert (part.behind, part.parked, part.reason) == (1, 0, "")
    (sent,) = await poisoned.sent()
    assert (sent.id, sent.lane, sent.cancelled) == (poisoned.task.id, poisoned.task.lane, False)
    # What the region said before it had it again is not what came of it.
    await poisoned.gateway.report(done(sent))
    assert (await poisoned.job()).state == JOB_STATE_CONVERGED
    head, _ = await poisoned.gateway.reads.trace(answer.correlation_id)
    assert head is not None
    assert (head.actor, head.action) == (CALLER.principal, "retry")
    assert poisoned.task.id in head.detail


OUTCOMES = [value for value in Outcome.values() if value]


def came_of(task: Task, outcome: int, attempt: int) -> tuple[Task, Report]:
    observed = task.resource.generation if outcome == Outcome.OUTCOME_DONE else 0
    return done(task, outcome=outcome, attempt=attempt, observed_generation=observed)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=Outcome.Name)
async def test_what_came_of_an_earlier_attempt_does_not_undo_a_retry(poisoned: Poisoned, outcome: int) -> None:
    await poisoned.retry()
    await poisoned.gateway.report(came_of(poisoned.task, outcome, poisoned.task.attempt))
    over = outcome in {Outcome.OUTCOME_DONE, Outcome.OUTCOME_STALE}
    assert [task.id for task in await poisoned.sent()] == ([] if over else [poisoned.task.id])


@pytest.mark.parametrize("outcome", OUTCOMES, ids=Outcome.Name)
async def test_a_region_may_report_before_its_task_is_marked_as_published(poisoned: Poisoned, outcome: int) -> None:
    await (poisoned.cancel() if outcome == Outcome.OUTCOME_CANCELLED else poisoned.retry())
    await poisoned.gateway.report(came_of(poisoned.task, outcome, poisoned.task.attempt + 1))
    assert await poisoned.state() == TASK_STATES[outcome]


async def test_a_cancelled_task_is_forgotten_by_its_region_and_not_sent_again(poisoned: Poisoned) -> None:
    await poisoned.cancel()
    (sent,) = await poisoned.sent()
    assert (sent.id, sent.cancelled) == (poisoned.task.id, True)
    await poisoned.gateway.report(cancelled(sent))
    assert await poisoned.state() == TASK_STATE_CANCELLED
    (part,) = (await poisoned.job()).regions
    assert (part.behind, part.parked, part.reason) == (1, 0, "CANCELLED")
    (placement,) = (await poisoned.gateway.reads.placements(PlacementFilter(drifting_only=True), 10, "")).placements
    assert placement.message == f"Cancelled by {CALLER.principal}: not wanted"
    await poisoned.gateway.detect()
    assert not await poisoned.sent()
    # It is wanted after all.
    await poisoned.retry()
    (sent,) = await poisoned.sent()
    assert not sent.cancelled
    await poisoned.gateway.report(done(sent))
    assert await poisoned.state() == TASK_STATE_DONE


async def test_a_newer_generation_supersedes_a_parked_task(poisoned: Poisoned) -> None:
    link = estate()[-1]
    link.labels["tier"] = "gold"
    await poisoned.gateway.declare(link)
    newer = [task for task in await poisoned.gateway.drive() if task.region == "eu10"]
    assert [task.resource.generation for task in newer] == [2]
    assert await poisoned.state() == TASK_STATE_SUPERSEDED
    with pytest.raises(Precondition):
        await poisoned.retry()


@pytest.mark.parametrize("state", [value for value in TaskState.values() if value])
@pytest.mark.parametrize("way", ["retry", "cancel"])
async def test_only_what_is_parked_can_be_retried_or_cancelled(
    poisoned: Poisoned, state: TaskState.ValueType, way: str, pool: Pool
) -> None:
    allowed = {TASK_STATE_PARKED} | ({TASK_STATE_CANCELLED} if way == "retry" else set())
    await pool.execute("UPDATE task SET state = $1 WHERE id = $2::text::uuid", state, poisoned.task.id)
    act = poisoned.retry if way == "retry" else poisoned.cancel
    if state in allowed:
        await act()
        return
    with pytest.raises(Precondition) as error:
        await act()
    assert (error.value.reason, error.value.field) == ("NOT_PARKED", "ids")
    assert await poisoned.state() == state


@pytest.mark.parametrize("kind", REVOKING)
async def test_a_revocation_is_never_cancelled(poisoned: Poisoned, kind: TaskKind.ValueType, pool: Pool) -> None:
    await pool.execute("UPDATE task SET kind = $1 WHERE id = $2::text::uuid", kind, poisoned.task.id)
    with pytest.raises(Precondition) as error:
        await poisoned.cancel()
    assert error.value.reason == "REVOCATION"
    await poisoned.retry()


async def test_it_is_all_of_them_or_none(poisoned: Poisoned) -> None:
    for way in (poisoned.retry, poisoned.cancel):
        with pytest.raises(NotFound):
            await way(ids=[poisoned.task.id, uuid4().hex])
        assert await poisoned.state() == TASK_STATE_PARKED


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": []},
        {"ids": ["x"]},
        {"ids": ["0" * 32] * 101},
        {"reason": " "},
        {"reason": "r" * 501},
        {"request_id": "r" * 129},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_wrong_request_changes_nothing(poisoned: Poisoned, wrong: dict[str, object]) -> None:
    for way in (poisoned.retry, poisoned.cancel):
        with pytest.raises(Invalid):
            await way(**wrong)
    assert await poisoned.state() == TASK_STATE_PARKED


async def test_the_same_request_again_gives_the_same_answer(poisoned: Poisoned) -> None:
    first = await poisoned.retry(request_id="once")
    assert await poisoned.retry(request_id="once") == first
    with pytest.raises(Conflict):
        await poisoned.cancel(request_id="once")


async def test_the_trail_says_who_did_it_and_why(poisoned: Poisoned, pool: Pool) -> None:
    answer = await poisoned.cancel(reason="the customer left")
    rows = await pool.fetch("SELECT body FROM audit ORDER BY id DESC LIMIT 50")
    said = [json.loads(row["body"]) for row in rows]
    own = [one for one in said if one.get("correlation_id") == answer.correlation_id]
    assert any(CALLER.principal in str(one) and "the customer left" in str(one) for one in own)
    hops = [one for one in said if one.get("reason") == "CANCELLED"]
    assert any(poisoned.task.id in str(one).replace("-", "") for one in hops)


async def test_what_was_retired_meanwhile_is_not_retried(poisoned: Poisoned) -> None:
    await poisoned.gateway.desired.retire(RetireRequest(names=["tenants/acme/links/core"], reason="gone"), CALLER)
    with pytest.raises(Precondition):
        await poisoned.retry()


async def test_one_task_is_found_by_its_id_while_it_is_parked(poisoned: Poisoned) -> None:
    assert [one.id for one in await poisoned.listed(id=poisoned.task.id)] == [poisoned.task.id]
    for other in ("0" * 32, "x", poisoned.task.id[:8]):
        assert await poisoned.listed(id=other) == []
    await poisoned.retry()
    assert await poisoned.listed(id=poisoned.task.id) == []


async def test_pages_hold_every_parked_task_once(poisoned: Poisoned) -> None:
    more = [Resource(name=f"tenants/t{n}", tenant=TenantSpec(placement=estate()[2].tenant.placement)) for n in range(4)]
    await poisoned.gateway.declare(*more)
    await poisoned.gateway.report(*(parked(task, "OTHER") for task in await poisoned.gateway.drive()))
    found, token = [], ""
    while True:
        page = await poisoned.parked.page(pb.ListParkedTasksRequest(page_token=token), 2)
        found += [one.id for one in page.tasks]
        if not (token := page.next_page_token):
            break
    assert len(found) == len(set(found)) == 9
