"""What befalls one lane's queue at the broker leaves the other lanes alone."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from gateway.adapters.rabbitmq.connection import Broker
from gateway.adapters.rabbitmq.lanes import RabbitLanes
from gateway.adapters.rabbitmq.probe import BrokerProbe
from gateway.adapters.rabbitmq.publisher import LanePublisher
from gateway.adapters.rabbitmq.topology import DEAD, LaneTopology, copies_name, queue_name
from gateway.ports.lanes import QUEUE_GONE, BrokerFault, Consumer, LaneMessage
from gateway.settings import RabbitMQSettings
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.settings import read_secret

REGIONS = ("bad1", "eu10", "us20")
BAD = "bad1"
OWN = {"x-dead-letter-exchange": DEAD, "x-queue-type": "classic"}
# How an operator, or a policy, may have made a lane's queue.
QUEUES: dict[str, dict[str, Any]] = {
    "no arguments": {"arguments": {}},
    "a length": {"arguments": {**OWN, "x-max-length": 10}},
    "a life": {"arguments": {**OWN, "x-message-ttl": 60_000}},
    "priorities": {"arguments": {**OWN, "x-max-priority": 3}},
    "another type": {"arguments": {**OWN, "x-queue-type": "quorum"}},
    "a stream": {"arguments": {"x-queue-type": "stream"}},
    "not durable": {"durable": False, "arguments": {"x-dead-letter-exchange": DEAD}},
    "full": {"arguments": {**OWN, "x-max-length": 0, "x-overflow": "reject-publish"}},
    "another's alone": {"durable": False, "exclusive": True, "arguments": OWN},
}
NOT_KEPT = {"full", "another's alone"}


@pytest.fixture
async def broker(rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[Broker]:
    made = Broker(rabbitmq_settings, "test", Backoff(random.random, first=0.05, most=0.2))
    running = asyncio.ensure_future(made.run())
    async with asyncio.timeout(10):
        while not made.version:  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(0.05)
    yield made
    running.cancel()


@pytest.fixture
async def operator(rabbitmq_settings: RabbitMQSettings) -> AsyncIterator[AbstractConnection]:
    """A connection of somebody who may do to the queues what the gateway may."""
    connection = await aio_pika.connect(
        port=rabbitmq_settings.port,
        login=rabbitmq_settings.user,
        password=read_secret(rabbitmq_settings.password_file).get_secret_value(),
    )
    await remove(connection)
    yield connection
    await remove(connection)
    await connection.close()


async def remove(connection: AbstractConnection) -> None:
    names = [queue_name(region, lane) for region in REGIONS for lane in (0, 1)] + [
        copies_name(each) for each in REGIONS
    ]
    for name in names:
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(await connection.channel())
            await channel.queue_delete(name)


def lane_messages(lane: int) -> list[LaneMessage]:
    return [LaneMessage(region, lane, region.encode()) for region in REGIONS]


async def received(broker: Broker, region: str, lane: int) -> bytes:
    async with asyncio.timeout(5), RabbitLanes(broker, "classic").consume(region, lane, 10) as consumer:
        async for message in consumer.messages():
            return message.body
    raise AssertionError


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("kind", QUEUES)
async def test_a_queue_that_is_not_as_it_should_be_is_named_and_stops_no_other(
    broker: Broker, operator: AbstractConnection, kind: str, lane: int
) -> None:
    name = queue_name(BAD, lane)
    made = await (await operator.channel()).declare_queue(name, **{"durable": True, **QUEUES[kind]})
    publisher = LanePublisher(LaneTopology(broker, "classic"))
    first, *others = await publisher.publish(lane_messages(lane))
    assert others == [None, None]
    assert first is not None
    assert name in first.message or f"lane {lane} of {BAD}" in first.message
    assert first.delivered == (kind not in NOT_KEPT)
    assert not first.shared
    assert await received(broker, "us20", lane) == b"us20"
    # Told again for as long as it is so, and gone by itself.
    (again,) = (
        await publisher.check([BAD], lane) if kind != "full" else (await publisher.publish(lane_messages(lane)))[:1]
    )
    assert again is not None
    await made.delete(if_unused=False, if_empty=False)
    assert await publisher.check([BAD], lane) == [None]
    assert await publisher.publish(lane_messages(lane)) == [None, None, None]
    assert await received(broker, BAD, lane) == BAD.encode()
    await publisher.close()


@pytest.mark.parametrize("kind", QUEUES)
async def test_a_queue_that_is_not_as_it_should_be_is_read_if_it_can_be(
    broker: Broker, operator: AbstractConnection, kind: str
) -> None:
    await (await operator.channel()).declare_queue(queue_name(BAD, 1), **{"durable": True, **QUEUES[kind]})
    lanes = RabbitLanes(broker, "classic")
    try:
        async with lanes.consume(BAD, 1, 10) as consumer:
            assert consumer.fault is not None
            told, refused = consumer.fault.message, False
    except Unavailable as error:
        told, refused = error.message, True
    assert queue_name(BAD, 1) in told
    # Whether a stream is read like a queue is up to the broker's version.
    assert refused == (kind == "another's alone") or kind == "a stream"
    assert await LanePublisher(LaneTopology(broker, "classic")).publish([LaneMessage("eu10", 1, b"x")]) == [None]


async def read_all(consumer: Consumer) -> None:
    """What was there before may have come already."""
    async for _ in consumer.messages():
        pass


@pytest.mark.parametrize("lane", [0, 1])
async def test_a_deleted_queue_is_made_again_by_the_next_message_and_heard_by_its_reader(
    broker: Broker, operator: AbstractConnection, lane: int
) -> None:
    publisher = LanePublisher(LaneTopology(broker, "classic"))
    assert await publisher.publish(lane_messages(lane)) == [None, None, None]
    async with RabbitLanes(broker, "classic").consume(BAD, lane, 10) as consumer:
        channel = await operator.channel()
        await channel.queue_delete(queue_name(BAD, lane))
        with pytest.raises(Unavailable) as lost:
            await asyncio.wait_for(read_all(consumer), 5)
        assert lost.value.reason == QUEUE_GONE
    if not lane:
        await channel.queue_delete(copies_name(BAD))
    assert await publisher.publish(lane_messages(lane)) == [None, None, None]
    assert await received(broker, BAD, lane) == BAD.encode()
    await publisher.close()


async def test_a_message_that_the_broker_refuses_fails_alone(broker: Broker) -> None:
    """It would close the channel that the others are in flight on."""
    publisher = LanePublisher(LaneTopology(broker, "classic"), seconds=20.0)
    huge = LaneMessage(BAD, 1, bytes(20 * 2**20))
    fates = await publisher.publish([huge, *lane_messages(1)[1:]])
    assert [fate is None for fate in fates] == [False, True, True]
    assert fates[0] is not None
    assert not fates[0].delivered
    await publisher.close()


async def test_a_broker_that_is_away_is_told_from_a_queue(rabbitmq_settings: RabbitMQSettings) -> None:
    away = Broker(rabbitmq_settings.model_copy(update={"port": 1}), "test", Backoff(random.random))
    fates = await LanePublisher(LaneTopology(away, "classic")).publish(lane_messages(1))
    assert all(isinstance(fate, BrokerFault) and fate.shared and not fate.delivered for fate in fates)
    probed = await BrokerProbe(away).probe()
    assert probed is not None
    assert probed.reason == "BROKER_UNAVAILABLE"


async def test_the_probe_is_confirmed_and_kept_by_nobody(broker: Broker, operator: AbstractConnection) -> None:
    probe = BrokerProbe(broker)
    assert [await probe.probe() for _ in range(3)] == [None, None, None]
    await probe.close()
