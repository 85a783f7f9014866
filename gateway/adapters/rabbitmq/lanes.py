"""Lanes on RabbitMQ: a durable queue for each region and lane behind a topic exchange.

A message goes to whoever has bound itself to its key at EXCHANGE: the MQTT session of a region that asked for that, and
on lane 0 a queue for each path. What nobody asked for goes on to KEPT, and so to the lane's own queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import DeliveryError
from aiormq.abc import FieldTable
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from gateway.adapters.rabbitmq.connection import LOST, Broker, translated, unavailable
from gateway.ports.lanes import Delivered, Parcel
from runtime.logs import get_logger

if TYPE_CHECKING:
    from gateway.ports.lanes import Consumer

log = get_logger(__name__)

EXCHANGE = "orbital.tasks"
KEPT = "orbital.kept"
DEAD = "orbital.dead"
CONFIRM_SECONDS = 15
CONTENT_TYPE = "application/x-protobuf; messageType=orbital.v1.TaskBatch"
IMMEDIATE = 0
# The copies of lane 0 for a region that does not read AMQP, which must not fill the broker.
COPIES_BYTES = 16 * 2**20
COPIES_UNREAD_MS = 86_400_000


def queue_name(region: str, lane: int) -> str:
    """The queue of a region's lane."""
    return f"orbital.lane.{lane}.{region}"


def routing_key(region: str, lane: int) -> str:
    """The routing key of a region's lane."""
    return f"lane.{lane}.{region}"


def copies_name(region: str) -> str:
    """The queue of a region's lane 0 that is read by AMQP."""
    return f"{queue_name(region, IMMEDIATE)}.amqp"


def session_name(region: str, lane: int) -> str:
    """The queue that the broker makes for the MQTT session of a region's lane."""
    return f"mqtt-subscription-{queue_name(region, lane)}qos1"


async def declare_exchanges(channel: AbstractChannel) -> AbstractExchange:
    """The exchanges of tasks and of dead letters; gives the one that tasks are published to."""
    dead = await channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)
    dead_queue = await channel.declare_queue(DEAD, durable=True, arguments={"x-max-length": 10_000})
    await dead_queue.bind(dead)
    await channel.declare_exchange(KEPT, aio_pika.ExchangeType.TOPIC, durable=True)
    return await channel.declare_exchange(
        EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True, arguments={"alternate-exchange": KEPT}
    )


async def declare_queue(channel: AbstractChannel, region: str, lane: int, queue_type: str) -> AbstractQueue:
    """The durable queue of a lane, bound; of lane 0 also the one for AMQP, so that each path has all of it."""
    kind: FieldTable = {"x-dead-letter-exchange": DEAD, "x-queue-type": queue_type}
    queue = await channel.declare_queue(queue_name(region, lane), durable=True, arguments=kind)
    await queue.bind(KEPT if lane else EXCHANGE, routing_key(region, lane))
    if lane == IMMEDIATE:
        limits: FieldTable = {"x-max-length-bytes": COPIES_BYTES, "x-expires": COPIES_UNREAD_MS}
        copies = await channel.declare_queue(copies_name(region), durable=True, arguments=kind | limits)
        await copies.bind(EXCHANGE, routing_key(region, lane))
    return queue


class Lane(NamedTuple):
    """A lane of a region."""

    region: str
    lane: int


class LaneTopology:
    """The exchanges and queues that tasks are published to, on a channel with confirms."""

    def __init__(self, broker: Broker, queue_type: str) -> None:
        self._broker = broker
        self._queue_type = queue_type
        self._open: AsyncExitStack | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._declared: set[Lane] = set()

    @property
    def version(self) -> str:
        """The broker's; empty while there is no connection."""
        return self._broker.version

    async def prepare(self, lanes: Iterable[Lane]) -> AbstractExchange:
        """The exchange to publish to, once the queues of these lanes are there; raises Unavailable."""
        async with translated():
            if self._channel is None or self._channel.is_closed or self._exchange is None:
                await self.close()
                self._open = AsyncExitStack()
                self._channel = await self._open.enter_async_context(self._broker.channel(confirms=True))
                self._exchange = await declare_exchanges(self._channel)
            for lane in lanes:
                if lane not in self._declared:
                    await declare_queue(self._channel, *lane, self._queue_type)
                    self._declared.add(lane)
            return self._exchange

    async def close(self) -> None:
        """Give the channel up."""
        opened, self._open, self._channel, self._exchange = self._open, None, None, None
        self._declared.clear()
        if opened is not None:
            try:
                await opened.aclose()
            except (*LOST, type(unavailable())):
                return


class LanePublisher:
    """Implements `Publisher`: persistent messages, all of a call in flight at once, each confirmed."""

    def __init__(self, topology: LaneTopology) -> None:
        self._topology = topology

    async def publish(self, parcels: Sequence[Parcel]) -> None:
        """Return once the broker has confirmed all of them; raises Unavailable when it does not."""
        try:
            async with translated(), asyncio.timeout(CONFIRM_SECONDS):
                exchange = await self._topology.prepare(Lane(parcel.region, parcel.lane) for parcel in parcels)
                await asyncio.gather(*(_publish(exchange, parcel) for parcel in parcels))
        except BaseException:
            # Whatever was in flight is unknown: the next call begins with a channel of its own.
            await self.close()
            raise

    async def close(self) -> None:
        """Give the channel up."""
        await self._topology.close()


async def _publish(exchange: AbstractExchange, parcel: Parcel) -> None:
    message = aio_pika.Message(
        parcel.body,
        headers=dict(parcel.headers),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        content_type=CONTENT_TYPE,
    )
    try:
        await exchange.publish(message, routing_key(parcel.region, parcel.lane), mandatory=True)
    except DeliveryError as error:
        raise unavailable() from error


class _LaneConsumer:
    """Implements `Consumer`."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._messages: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        channel.close_callbacks.add(lambda *_: self._messages.put_nowait(None))

    async def take(self, message: AbstractIncomingMessage) -> None:
        self._messages.put_nowait(message)

    async def messages(self) -> AsyncIterator[Delivered]:
        while (message := await self._messages.get()) is not None:
            assert message.delivery_tag is not None
            yield Delivered(message.delivery_tag, message.body, bool(message.redelivered))
        raise unavailable()

    async def acknowledge(self, tag: int) -> None:
        async with translated(), asyncio.timeout(10):
            underlay = await self._channel.get_underlay_channel()
            await underlay.basic_ack(tag, multiple=True)

    async def reject(self, tag: int) -> None:
        async with translated(), asyncio.timeout(10):
            underlay = await self._channel.get_underlay_channel()
            await underlay.basic_reject(tag, requeue=False)


class RabbitLanes:
    """Implements `Lanes`."""

    def __init__(self, broker: Broker, queue_type: str) -> None:
        self._broker = broker
        self._queue_type = queue_type
        self._declared_on = 0

    async def _declare(self, channel: AbstractChannel, region: str, lane: int) -> AbstractQueue:
        # The exchanges once a connection: thousands of streams may open at once.
        number = self._broker.number
        if self._declared_on != number:
            await declare_exchanges(channel)
            self._declared_on = number
        try:
            return await declare_queue(channel, region, lane, self._queue_type)
        except LOST:
            # Somebody may have taken the exchanges away.
            self._declared_on = 0
            raise

    @asynccontextmanager
    async def consume(self, region: str, lane: int, credit: int) -> AsyncIterator[Consumer]:
        """A consumer with a channel of its own; leaving it gives its messages back to the queue."""
        async with self._broker.channel(confirms=False) as channel:
            consumer = _LaneConsumer(channel)
            async with translated(), asyncio.timeout(10):
                await channel.set_qos(prefetch_count=credit)
                queue = await self._declare(channel, region, lane)
                tag = await queue.consume(consumer.take)
            try:
                yield consumer
            finally:
                # An acknowledgement on a closing channel would take the whole connection down.
                if not channel.is_closed:
                    async with translated(), asyncio.timeout(5):
                        await queue.cancel(tag)

    async def withdraw(self, region: str, lane: int) -> int | None:
        """See the port. The session goes with its binding: nobody but the broker can name that of MQTT 5."""
        session = session_name(region, lane)
        async with self._broker.channel(confirms=False) as channel, translated(), asyncio.timeout(10):
            underlay = await channel.get_underlay_channel()
            try:
                await underlay.queue_unbind(session, EXCHANGE, routing_key(region, lane))
                return (await underlay.queue_delete(session, if_unused=True)).message_count or 0
            except ChannelPreconditionFailed:
                return None
            except ChannelAccessRefused:
                # A broker of one's own, whose account is for orbital.* alone: whoever keeps it so uses no MQTT there.
                log.info("sessions are not ours", region=region, lane=lane)
                return 0

    @asynccontextmanager
    async def ready(self, region: str, lane: int) -> AsyncIterator[Consumer]:
        """The lane's queue for somebody else to read; this consumer never has a message."""
        async with self._broker.channel(confirms=False) as channel:
            async with translated(), asyncio.timeout(10):
                await self._declare(channel, region, lane)
            yield _LaneConsumer(channel)
