"""The gateway's flow on real PostgreSQL and RabbitMQ; policy is a fake here, and real in tests/system."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiormq.abc import ChannelFrame
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt
from orbital.v1.registry_pb2 import (
    ChangeAction,
    DeclareRequest,
    DeclareResponse,
    KillRequest,
    PlacementFilter,
)
from orbital.v1.resource_pb2 import (
    LinkSpec,
    LinkState,
    RegionSpec,
    Resource,
    Selector,
    SystemSpec,
    TenantSpec,
    Transport,
)
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import KeyState, Outcome, Report, Task, TaskBatch

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.queries import SQL
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.see import CONVERGED, CONVERGING, DRIFTING, PostgresReads
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.adapters.rabbitmq.connection import Broker
from gateway.adapters.rabbitmq.lanes import RabbitLanes
from gateway.adapters.rabbitmq.publisher import LanePublisher
from gateway.adapters.rabbitmq.topology import LaneTopology
from gateway.domain.report import RegionReport
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.flow.dispatch import Dispatch
from gateway.flow.send import Sender
from gateway.ports.serving import Caller
from gateway.settings import RabbitMQSettings
from gateway.times import new_correlation_id
from runtime.errors import Conflict, Invalid, Precondition, Unavailable
from runtime.kinds import REVOKING
from runtime.lifecycle import Backoff
from runtime.signatures import TASKS
from tests.unit.gateway.fakes import FakePolicy
from tests.unit.runtime.keys import Keys

CALLER = Caller("spiffe://orbital/person/operator", "decision-0")
REGIONS = ("eu10", "us20")


def estate(**labels: str) -> list[Resource]:
    return [
        *(Resource(name=f"regions/{name}", region=RegionSpec(area=name[:2])) for name in REGIONS),
        Resource(name="tenants/acme", labels=labels, tenant=TenantSpec(placement=Selector(regions=REGIONS))),
        Resource(name="tenants/acme/systems/core", system=SystemSpec()),
        Resource(name="tenants/acme/links/core", link=LinkSpec(system="core", provider="hsm", key="acme-root")),
    ]


class Gateway:
    def __init__(self, pool: Pool, broker: Broker) -> None:
        self.pool, self.policy = pool, FakePolicy()
        self.tasks, self.reports, self.reads = (
            PostgresTasks(Database(pool), "gateway"),
            PostgresReports(Database(pool)),
            PostgresReads(Database(pool)),
        )
        self.desired = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
        self.broker, self.lanes = broker, RabbitLanes(broker, "classic")
        with tempfile.TemporaryDirectory() as place:
            self.signer = Keys.make(Path(place)).gateway
            self.signer.sign(TASKS, b"so that the keys are read while they are there")

    async def declare(self, *resources: Resource, **options: object) -> DeclareResponse:
        return await self.desired.declare(DeclareRequest(resources=resources, **options), CALLER)  # type: ignore[arg-type]

    async def detect(self) -> None:
        for lane in range(3):
            while await Detect(self.tasks, lane, 100, lambda: None).step():
                pass

    async def dispatch(self) -> None:
        for lane in range(3):
            publisher = LanePublisher(LaneTopology(self.broker, "classic"))
            sender = Sender(publisher=publisher, signer=self.signer, most=2)
            while await Dispatch(lane=lane, store=self.tasks, policy=self.policy, sender=sender, claim=100).step():
                pass
            await publisher.close()

    async def receive(self, acknowledge: bool = True) -> list[Task]:
        """What waits in every queue."""
        queues = [(region, lane) for region in REGIONS for lane in range(3)]
        found = await asyncio.gather(*(self._waiting(region, lane, acknowledge) for region, lane in queues))
        return [task for tasks in found for task in tasks]

    async def _waiting(self, region: str, lane: int, acknowledge: bool) -> list[Task]:
        found: list[Task] = []
        async with self.lanes.consume(region, lane, 100) as consumer:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    async for message in consumer.messages():
                        found.extend(TaskBatch.FromString(Signed.FromString(message.body).content).tasks)
                        if acknowledge:
                            await consumer.acknowledge(message.tag)
        return found

    async def drive(self) -> list[Task]:
        await self.detect()
        await self.dispatch()
        return await self.receive()

    async def report(self, *reports: tuple[Task, Report]) -> None:
        told = [RegionReport(task.region, report) for task, report in reports]
        await self.reports.observe(told, told)


def receipt(task: Task) -> bytes:
    """What a region attaches to a revocation that is done; its signature is not looked at here."""
    said = Receipt(
        region=task.region,
        resource=task.resource.name,
        generation=task.resource.generation,
        kind=task.kind,
        task_id=task.id,
        correlation_id=task.correlation_id,
    )
    return SignedReceipt(receipt=said.SerializeToString(), key_id=b"k" * 32, signature=b"s").SerializeToString()


def done(task: Task, **changes: object) -> tuple[Task, Report]:
    report = Report(
        task_id=task.id,
        kind=task.kind,
        tenant=task.tenant,
        resource=task.resource.name,
        generation=task.resource.generation,
        observed_generation=task.resource.generation,
        outcome=Outcome.OUTCOME_DONE,
        key_state=KeyState.KEY_STATE_ACTIVE,
        key_version=1,
        correlation_id=task.correlation_id,
        receipt=receipt(task) if task.kind in REVOKING else b"",
        attempt=task.attempt,
    )
    for name, value in changes.items():
        setattr(report, name, value)
    return task, report


@asynccontextmanager
async def connected(settings: RabbitMQSettings) -> AsyncIterator[Broker]:
    broker = Broker(settings, "test", Backoff(random.random))
    running = asyncio.create_task(broker.run())
    async with asyncio.timeout(10):
        while True:
            try:
                async with broker.channel(confirms=False):
                    break
            except Unavailable:
                await asyncio.sleep(0.05)
    yield broker
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def gateway(pool: Pool, rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[Gateway]:
    async with connected(rabbitmq_settings) as broker:
        made = Gateway(pool, broker)
        await made.receive()
        yield made


async def test_every_query_prepares(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for query in SQL.values():
            await connection.prepare(query)


async def test_from_desired_to_converged_and_again_nothing(gateway: Gateway) -> None:
    answer = await gateway.declare(*estate())
    tasks = await gateway.drive()
    assert sorted((task.region, task.resource.name) for task in tasks) == sorted(
        (region, resource.name) for region in REGIONS for resource in estate()[2:]
    )
    job = await gateway.reads.job(answer.correlation_id)
    assert job is not None
    assert (job.total, job.converged, job.HasField("converge_time")) == (6, 0, False)
    await gateway.report(*(done(task) for task in tasks))
    job = await gateway.reads.job(answer.correlation_id)
    assert job is not None
    assert job.HasField("converge_time")
    again = await gateway.declare(*estate())
    assert again.correlation_id == ""
    assert {change.action for change in again.changes} == {ChangeAction.CHANGE_ACTION_NONE}
    assert await gateway.drive() == []


async def test_a_request_that_is_repeated_gets_its_first_answer(gateway: Gateway) -> None:
    first = await gateway.declare(*estate(), request_id="r-1")
    second = await gateway.declare(*estate(tier="gold"), request_id="r-1")
    assert second == first
    assert (await gateway.reads.resource("tenants/acme")).generation == 1  # type: ignore[union-attr]


async def test_a_dry_run_and_a_mistake_store_nothing(gateway: Gateway) -> None:
    planned = await gateway.declare(*estate(), validate_only=True)
    assert len(planned.changes) == 5
    with pytest.raises(Invalid):
        await gateway.declare(*estate(), Resource(name="tenants/acme/systems/Bad", system=SystemSpec()))
    assert await gateway.reads.resource("tenants/acme") is None
    assert await gateway.pool.fetchval("SELECT count(*) FROM job") == 0


async def test_a_task_is_driven_again_when_its_region_can_hear_and_at_once_when_it_lost_it(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    here = {task.id for task in await gateway.drive() if task.region == "eu10"}
    await gateway.pool.execute("UPDATE placement SET due_at = now()")
    assert await gateway.drive() == []
    for again in (gateway.tasks.contacted([("eu10", 1, Transport.TRANSPORT_MQTT)]), gateway.tasks.rehydrate("eu10", 1)):
        await again
        assert {task.id for task in await gateway.drive()} == here


async def test_a_new_generation_supersedes_the_pending_task(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    await gateway.detect()
    await gateway.declare(*estate(tier="gold"))
    tasks = [task for task in await gateway.drive() if task.resource.name == "tenants/acme"]
    assert [task.resource.generation for task in tasks] == [2, 2]
    states = await gateway.pool.fetch(
        "SELECT state FROM task AS t JOIN resource AS r ON r.id = t.resource_id WHERE r.name = 'tenants/acme' "
        "AND t.generation = 1"
    )
    assert {row["state"] for row in states} == {6}


async def test_an_old_report_does_not_speak_for_a_newer_desire(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    old = [task for task in await gateway.drive() if task.resource.name == "tenants/acme" and task.region == "eu10"]
    await gateway.declare(*estate(tier="gold"))
    await gateway.report(done(old[0]))
    (placement,) = await placements(gateway, resource="tenants/acme", region="eu10")
    assert (placement.observed_generation, placement.desired_generation) == (1, 2)
    await gateway.report(done(old[0], outcome=Outcome.OUTCOME_FAILED, observed_generation=0, reason="LATE"))
    (placement,) = await placements(gateway, resource="tenants/acme", region="eu10")
    assert (placement.observed_generation, placement.state) == (1, CONVERGING)


async def test_nobody_observes_a_generation_that_was_never_desired(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    task = (await gateway.drive())[0]
    await gateway.report(done(task, observed_generation=99))
    (placement,) = await placements(gateway, resource=task.resource.name, region=task.region)
    assert placement.observed_generation == 0


async def test_a_refusal_shows_its_reason_and_is_kept(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    await gateway.detect()
    identities = await gateway.pool.fetch("SELECT id FROM task WHERE region = 'us20'")
    gateway.policy.refuse = {row["id"].hex for row in identities}
    await gateway.dispatch()
    assert {task.region for task in await gateway.receive()} == {"eu10"}
    behind = await placements(gateway, region="us20")
    assert {(item.state, item.reason) for item in behind} == {(DRIFTING, "NOT_HERE")}
    assert len((await gateway.reads.denials("", 100, "")).denials) == 3


async def test_unacknowledged_messages_come_again(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    await gateway.detect()
    await gateway.dispatch()
    first = await gateway.receive(acknowledge=False)
    second = await gateway.receive()
    assert {task.id for task in first} == {task.id for task in second}
    assert await gateway.receive() == []


async def test_a_kill_drives_the_tenant_and_its_links_on_lane_zero_once(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    await gateway.report(*(done(task) for task in await gateway.drive()))
    radius = await gateway.desired.kill(KillRequest(tenant="acme", validate_only=True), CALLER)
    assert (radius.links, list(radius.regions), radius.correlation_id) == (1, list(REGIONS), "")
    killed = await gateway.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    tasks = await gateway.drive()
    assert {(task.lane, task.correlation_id) for task in tasks} == {(0, killed.correlation_id)}
    assert {task.resource.name for task in tasks} == {"tenants/acme", "tenants/acme/links/core"}
    assert (await gateway.desired.kill(KillRequest(tenant="acme", reason="again"), CALLER)).already_killed
    assert await gateway.drive() == []


async def test_two_links_of_one_system_in_one_declaration_conflict(gateway: Gateway) -> None:
    other = Resource(name="tenants/acme/links/two", link=LinkSpec(system="core", provider="hsm", key="k"))
    with pytest.raises(Conflict):
        await gateway.declare(*estate(), other)


async def test_a_second_link_of_a_system_takes_the_place_of_the_first(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    other = Resource(name="tenants/acme/links/two", link=LinkSpec(system="core", provider="hsm", key="k"))
    await gateway.declare(other)
    first = await gateway.reads.resource("tenants/acme/links/core")
    assert first is not None
    assert first.retired


async def placements(gateway: Gateway, **chosen: str) -> list[object]:
    return list((await gateway.reads.placements(PlacementFilter(**chosen), 100, "")).placements)  # type: ignore[arg-type]


async def test_pages_join_without_gap_or_overlap(gateway: Gateway) -> None:
    await gateway.declare(*estate())
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        page = await gateway.reads.placements(PlacementFilter(), 4, token)
        seen += [(item.resource, item.region) for item in page.placements]
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 6
    assert {item.state for item in page.placements} <= {CONVERGED, CONVERGING}


async def test_a_connection_that_the_broker_closes_is_renewed(gateway: Gateway) -> None:
    connection = gateway.broker._connection
    assert connection is not None
    # No frame begins like this: the broker answers by closing the connection.
    frame = ChannelFrame(payload=b"garbage" * 10, should_close=False, drain_future=None)
    await connection.transport.connection.write_queue.put(frame)
    async with asyncio.timeout(10):
        while gateway.broker._connection in (connection, None):  # noqa: ASYNC110  # the driver has no event for it
            await asyncio.sleep(0.05)
    await gateway.declare(*estate())
    assert len(await gateway.drive()) == 6


async def test_a_request_id_names_one_action(gateway: Gateway) -> None:
    await gateway.declare(*estate(), request_id="r-1")
    with pytest.raises(Conflict) as raised:
        await gateway.desired.kill(KillRequest(tenant="acme", reason="breach", request_id="r-1"), CALLER)
    assert raised.value.field == "request_id"


@pytest.mark.parametrize("first", ["declare", "kill"])
async def test_a_kill_beside_a_declaration_is_never_undone(gateway: Gateway, first: str) -> None:
    await gateway.declare(*estate())
    await gateway.report(*(done(task) for task in await gateway.drive()))
    link = estate(tier="gold")[-1]
    link.labels["tier"] = "gold"
    system = Resource(name="tenants/acme/systems/new", system=SystemSpec())
    fresh = Resource(name="tenants/acme/links/new", link=LinkSpec(system="new", provider="hsm", key="k"))
    kill = gateway.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    declare = gateway.declare(link, system, fresh)
    calls = [declare, kill] if first == "declare" else [kill, declare]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(item, Precondition) or not isinstance(item, BaseException) for item in outcomes)
    stored = await gateway.pool.fetch("SELECT body FROM resource WHERE kind = 5")
    states = {Resource.FromString(row["body"]).link.state for row in stored}
    assert states == {LinkState.LINK_STATE_UNLINKED}
