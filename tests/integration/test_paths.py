"""One contract for the three ways by which tasks reach a region, on a real broker: lane stream, AMQP and MQTT."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiormq
import pytest
from orbital.v1.resource_pb2 import Resource, TenantSpec, Transport
from orbital.v1.task_pb2 import Task, TaskBatch, TaskKind
from paho.mqtt.enums import MQTTProtocolVersion
from structlog.testing import capture_logs

from gateway.adapters.broker.server import serve_access
from gateway.adapters.mqtt.publisher import MqttPublisher, speaks_five
from gateway.adapters.rabbitmq.connection import Broker as GatewayBroker
from gateway.adapters.rabbitmq.publisher import LanePublisher
from gateway.adapters.rabbitmq.topology import LaneTopology, queue_name, session_name
from gateway.adapters.rpc.services import serve
from gateway.ports.lanes import LaneMessage, Publisher
from gateway.settings import BrokerAccessSettings, MqttSettings, RabbitMQSettings
from region.adapters.amqp.inbound import AmqpInbound
from region.adapters.broker import Broker, tls
from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.adapters.mqtt.inbound import MqttInbound
from region.adapters.stream.gateway import GrpcGateway
from region.flow.control_plane import ControlPlane
from region.flow.holdings import Holdings as RegionHoldings
from region.flow.lane import Lane, LaneSettings
from region.flow.lane_journal import LaneJournal
from region.flow.lane_traffic import LaneTraffic
from region.flow.lease import Heartbeats
from region.flow.marks import StateMarks
from region.flow.receive import BatchReader, Receiver
from region.flow.report import Linger, Reporter
from region.flow.signals import Contact, LaneWakeups
from region.flow.transport import PathChoice, PathEvents, PathReader
from region.ports.host import real_host
from region.ports.inbound import Inbound
from runtime.lifecycle import Backoff
from runtime.signatures import TASKS, Signer, region_identity
from stack.settings import load_settings
from stack.state import State
from tests.integration.path_gateway import CREDIT, LANE, REGION, OpenDoor, Sidecar, certify, make_deliver
from tests.unit.gateway.fakes import FakeTasks
from tests.unit.region.fakes import FakeStore
from tests.unit.runtime.keys import Keys

PATHS = {
    "stream": Transport.TRANSPORT_STREAM,
    "amqp": Transport.TRANSPORT_AMQP,
    "mqtt": Transport.TRANSPORT_MQTT,
}


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110 - what is waited for is in a database or a broker
            await asyncio.sleep(0.05)


@dataclass
class Harness:
    """A region's lane and the gateway's side of it."""

    place: Path
    keys: Keys
    broker: GatewayBroker
    amqp: Broker
    mqtt: MqttSettings
    inbounds: dict[str, Inbound]
    tasks: FakeTasks = field(default_factory=FakeTasks)
    news: PathEvents = field(default_factory=PathEvents)
    running: AsyncExitStack = field(default_factory=AsyncExitStack)

    def publisher(self, by: str) -> Publisher:
        topology = LaneTopology(self.broker, "classic")
        return LanePublisher(topology) if by == "amqp" else MqttPublisher(self.mqtt, topology, "orbital.gateway.test.1")

    async def publish(self, numbers: Sequence[int], signer: Signer | None = None, by: str = "amqp") -> None:
        publisher = self.publisher(by)
        lane_messages = []
        for number in numbers:
            resource = Resource(name=f"tenants/t{number}", generation=1, tenant=TenantSpec())
            kind = TaskKind.TASK_KIND_DEFINE_TENANT
            task = Task(id=f"{number:032x}", kind=kind, lane=LANE, sequence=number, region=REGION, resource=resource)
            batch = TaskBatch(region=REGION, lane=LANE, tasks=[task]).SerializeToString()
            lane_messages.append(
                LaneMessage(REGION, LANE, (signer or self.keys.gateway).sign(TASKS, batch).SerializeToString())
            )
        fates = await publisher.publish(lane_messages)
        await publisher.close()
        assert fates == [None] * len(lane_messages)

    @asynccontextmanager
    async def reads(self, path: str, journal: SqliteJournal) -> AsyncIterator[None]:
        """The region reads its lane by this path inside the block; without word to anybody it is gone afterwards."""
        host, signals = real_host(), LaneWakeups()
        choice = PathChoice(journal, frozenset(PATHS.values()))
        choice.take(PATHS[path])
        marks = StateMarks(LANE, FakeStore(), journal, host, {}, lambda: None)
        socket = f"unix:{self.place / 'gateway.sock'}"
        lane = LaneJournal(lane=LANE, journal=journal, signals={LANE: signals}, host=host)
        reader = BatchReader(region=REGION, lane=LANE, keys=self.keys.public_keys)
        receiver = Receiver(reader=reader, journal=lane, merge=4)
        traffic = LaneTraffic(
            journal=lane, receiver=receiver, news=self.news, marks=marks,
            reporter=Reporter(REGION, LANE, journal, self.keys.region, signals, Linger(0.0, 0.0)),
            holdings=RegionHoldings(REGION, journal, marks, self.keys.region),
        )  # fmt: skip
        control = ControlPlane(
            heartbeats=Heartbeats(journal, host, 60.0), marks=marks, choice=choice, contact=Contact()
        )
        stream = Lane(
            region=REGION, gateway=GrpcGateway(socket, REGION), traffic=traffic, control=control,
            settings=LaneSettings(credit=CREDIT, silence=10.0), host=host,
        )  # fmt: skip
        runs = [stream.run] if path == "stream" else []
        if path in self.inbounds:
            inflow = PathReader(
                inbound=self.inbounds[path], choice=choice, receiver=receiver, news=self.news, credit=CREDIT,
                host=host,
            )  # fmt: skip
            runs.append(inflow.run)
        parts = [asyncio.ensure_future(run()) for run in runs]
        try:
            yield
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def refused(self) -> str:
        """The reason of the message that was refused, as the gateway hears it or would hear it by the stream."""
        if self.tasks.dead:
            return self.tasks.dead[0][2].partition(":")[0]
        async with asyncio.timeout(0.2):
            while (news := await self.news.next()).WhichOneof("message") != "refusal":
                self.news.told()
            return news.refusal.reason.partition(":")[0]


@pytest.fixture
async def harness(
    parts: tuple[Path, State], rabbitmq_settings: RabbitMQSettings, tmp_path: Path
) -> AsyncIterator[Harness]:
    place, state = parts
    own = tmp_path / "gateway"
    own.mkdir()
    certify(place, tmp_path, region_identity(REGION))
    certify(place, own, "spiffe://orbital/gateway")
    authority = place / "identity" / "ca.pem"
    identity = (authority, tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = f"127.0.0.1:{state.ports['mqtt']}"
    mqtt = MqttSettings(address=listener, ca_file=authority, cert_file=own / "cert.pem", key_file=own / "key.pem")
    amqp = Broker(f"127.0.0.1:{state.ports['amqps']}", *identity)
    inbounds: dict[str, Inbound] = {
        "amqp": AmqpInbound(amqp, REGION),
        "mqtt": MqttInbound(Broker(listener, *identity), REGION, "auto"),
    }
    broker = GatewayBroker(rabbitmq_settings, "test", Backoff(random.random, first=0.05, most=0.2))
    keeping = asyncio.ensure_future(broker.run())
    made = Harness(tmp_path, Keys.make(tmp_path), broker, amqp, mqtt, inbounds)
    deliver = make_deliver(broker, made.tasks, made.keys)

    async def connected() -> bool:
        return bool(broker.version)

    try:
        await until(connected)
        pair = place / "broker-access"
        access = BrokerAccessSettings(
            listen=f"127.0.0.1:{state.ports['broker-access']}", ca_file=pair / "ca.pem",
            cert_file=pair / "gateway" / "cert.pem", key_file=pair / "gateway" / "key.pem",
            authenticated=load_settings().rabbitmq_version == "4",
        )  # fmt: skip
        async with (
            serve_access(access, OpenDoor()),
            serve(f"unix:{tmp_path / 'gateway.sock'}", {"Dispatch": Sidecar(deliver)}) as server,
        ):
            await server.serving(True)
            await forget(amqp)
            yield made
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def forget(broker: Broker) -> None:
    """Neither the lane's queue nor its session is left of another test."""
    connection = await aiormq.connect(f"amqps://{broker.address}/%2F?auth=EXTERNAL", context=tls(broker))
    channel = await connection.channel()
    for name in (queue_name(REGION, LANE), session_name(REGION, LANE)):
        await channel.queue_delete(name)
    await connection.close()


async def kept(journal: SqliteJournal) -> list[int]:
    """The tasks that the journal holds, in their order."""
    return [entry.task.sequence for entry in await journal.due(LANE, 1e12, 1000)]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with open_journal(tmp_path / "journal.db") as opened:
        yield opened


async def holds(journal: SqliteJournal, *numbers: int) -> None:
    async def look() -> bool:
        return await kept(journal) == list(numbers)

    await until(look)


async def ready(harness: Harness, path: str) -> None:
    """MQTT keeps what comes once its session is there; what came before is in the lane's queue, for the stream."""
    if path == "mqtt":
        async with harness.inbounds[path].open(LANE, CREDIT):
            pass


@pytest.mark.parametrize("by", ["amqp", "mqtt"])
@pytest.mark.parametrize("path", PATHS)
async def test_what_is_published_arrives_once_though_the_region_was_away(
    harness: Harness, journal: SqliteJournal, tmp_path: Path, path: str, by: str
) -> None:
    await ready(harness, path)
    await harness.publish([1, 2, 3], by=by)
    async with harness.reads(path, journal):
        await holds(journal, 1, 2, 3)
        await harness.publish(range(4, 300), by=by)
        await holds(journal, *range(1, 300))
    async with open_journal(tmp_path / "other.db") as other, harness.reads(path, other):
        # All of it was acknowledged: a journal that knows nothing gets only what is new.
        await harness.publish([300], by=by)
        await holds(other, 300)


HEADERS = {"orbital-region": REGION, "orbital-correlation-id": "c" * 32}


async def headers_by_amqp(harness: Harness) -> dict[str, str]:
    """Of the oldest message in the lane's queue."""
    connection = await aiormq.connect(f"amqps://{harness.amqp.address}/%2F?auth=EXTERNAL", context=tls(harness.amqp))
    found = await (await connection.channel()).basic_get(queue_name(REGION, LANE))
    await connection.close()
    headers = found.header.properties.headers or {}
    return {name: str(headers[name]) for name in HEADERS if name in headers}


@pytest.mark.parametrize("by", ["amqp", "mqtt"])
async def test_headers_mirror_what_is_in_the_payload_where_the_broker_carries_them(harness: Harness, by: str) -> None:
    lane_message = LaneMessage(REGION, LANE, b"x", HEADERS)
    publisher = harness.publisher(by)
    await publisher.publish([lane_message])
    await publisher.close()
    carried = by == "amqp" or speaks_five(harness.broker.version)
    assert await headers_by_amqp(harness) == (HEADERS if carried else {})


async def test_mqtt_is_5_where_the_broker_speaks_it(harness: Harness) -> None:
    with capture_logs() as said:
        async with harness.inbounds["mqtt"].open(LANE, CREDIT):
            pass
    (version,) = [each["version"] for each in said if each["event"] == "mqtt_version"]
    assert (version == MQTTProtocolVersion.MQTTv5) == speaks_five(harness.broker.version)


async def test_what_no_broker_takes_is_not_published(harness: Harness) -> None:
    harness.mqtt = harness.mqtt.model_copy(update={"address": "127.0.0.1:1"})
    (fate,) = await harness.publisher("mqtt").publish([LaneMessage(REGION, LANE, b"x")])
    assert fate is not None
    assert fate.shared


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_acknowledged_before_it_is_in_the_journal(
    harness: Harness, journal: SqliteJournal, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(harness, path)
    asked = asyncio.Event()

    async def never(*_: object) -> int:
        asked.set()
        await asyncio.Event().wait()
        return 0

    await harness.publish([1, 2, 3])
    with monkeypatch.context() as patch:
        patch.setattr(journal, "receive", never)
        async with harness.reads(path, journal), asyncio.timeout(15):
            await asked.wait()
    async with harness.reads(path, journal):
        await holds(journal, 1, 2, 3)


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_not_signed_by_the_gateway_is_told_and_is_gone(
    harness: Harness, journal: SqliteJournal, tmp_path: Path, path: str
) -> None:
    await ready(harness, path)
    await harness.publish([1])
    await harness.publish([2], harness.keys.other)
    await harness.publish([3])
    async with harness.reads(path, journal):
        await holds(journal, 1, 3)
    assert await harness.refused() == "WRONG_SIGNER"
    async with open_journal(tmp_path / "other.db") as other, harness.reads(path, other):
        await harness.publish([4])
        await holds(other, 4)


async def test_a_lost_session_is_told_and_a_kept_one_is_not(harness: Harness, journal: SqliteJournal) -> None:
    async def lost() -> bool:
        try:
            async with asyncio.timeout(0.1):
                told = (await harness.news.next()).WhichOneof("message") == "rehydrate"
        except TimeoutError:
            return False
        harness.news.told()
        return told

    async with harness.reads("mqtt", journal):
        await until(lost)
    async with harness.reads("mqtt", journal):
        await harness.publish([1])
        await holds(journal, 1)
    assert not await lost()
    await forget(harness.amqp)
    async with harness.reads("mqtt", journal):
        await until(lost)


async def test_a_lane_whose_session_is_not_read_any_more_is_read_by_stream(
    harness: Harness, journal: SqliteJournal
) -> None:
    await ready(harness, "mqtt")
    async with harness.reads("stream", journal):

        async def withdrawn() -> bool:
            await harness.publish([1])
            return await kept(journal) == [1]

        await until(withdrawn)
