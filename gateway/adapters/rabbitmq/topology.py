"""The queues of lanes, and what is wrong with one of them: a refusal concerns its lane, and no other.

A message goes to whoever has bound itself to its key at EXCHANGE: the MQTT session of a region that asked for that, and
on lane 0 a queue for each path. What nobody asked for goes on to KEPT, and so to the lane's own queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import NamedTuple

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from aiormq.abc import FieldTable
from aiormq.exceptions import AMQPChannelError, ChannelPreconditionFailed, ConnectionClosed

from gateway.adapters.rabbitmq.connection import LOST, Broker, translated
from gateway.ports.lanes import BrokerFault
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

EXCHANGE = "orbital.tasks"
KEPT = "orbital.kept"
DEAD = "orbital.dead"
IMMEDIATE = 0
# The copies of lane 0 for a region that does not read AMQP, which must not fill the broker.
COPIES_BYTES = 16 * 2**20
COPIES_UNREAD_MS = 86_400_000
# A queue without a leader answers nothing: its lane waits for it, and not the others.
DECLARE_SECONDS = 3.0
LONGEST_REASON = 300  # characters of what a broker says, for a person to read

MISCONFIGURED = "QUEUE_MISCONFIGURED"
REFUSED = "QUEUE_REFUSED"
SILENT = "QUEUE_SILENT"


class RegionLane(NamedTuple):
    """A lane of a region."""

    region: str
    lane: int


class QueueDeclaration(NamedTuple):
    """A queue as it is declared: its name, its arguments, and the exchange that it is bound to."""

    name: str
    arguments: FieldTable
    exchange: str


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


def wanted_queues(lane: RegionLane, queue_type: str) -> list[QueueDeclaration]:
    """The queue of a lane; of lane 0 also the one for AMQP, so that each path has all of it."""
    kind: FieldTable = {"x-dead-letter-exchange": DEAD, "x-queue-type": queue_type}
    found = [QueueDeclaration(queue_name(*lane), kind, KEPT if lane.lane else EXCHANGE)]
    if lane.lane == IMMEDIATE:
        limits: FieldTable = {"x-max-length-bytes": COPIES_BYTES, "x-expires": COPIES_UNREAD_MS}
        found.append(QueueDeclaration(copies_name(lane.region), kind | limits, EXCHANGE))
    return found


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
    """The durable queues of a lane, bound; gives the lane's own."""
    own, *others = wanted_queues(RegionLane(region, lane), queue_type)
    queue = await _declare(channel, own, region, lane)
    for other in others:
        await _declare(channel, other, region, lane)
    return queue


async def _declare(channel: AbstractChannel, wanted: QueueDeclaration, region: str, lane: int) -> AbstractQueue:
    queue = await channel.declare_queue(wanted.name, durable=True, arguments=wanted.arguments)
    await queue.bind(wanted.exchange, routing_key(region, lane))
    return queue


def refuses_one(error: BaseException) -> bool:
    """Whether the broker refused this one request; otherwise it does not answer at all.

    Some refusals close the connection. The plain ConnectionClosed is what an operator or a shutdown causes.
    """
    if isinstance(error, ConnectionClosed):
        return type(error) is not ConnectionClosed
    return isinstance(error, AMQPChannelError)


def said(error: BaseException) -> str:
    """What the broker said, bounded."""
    return str(error.args[-1] if error.args else type(error).__name__)[:LONGEST_REASON]


class Declarer:
    """Declares the queues of lanes, each for itself, and uses a queue with other arguments as it is."""

    def __init__(self, broker: Broker, queue_type: str) -> None:
        self._broker = broker
        self._queue_type = queue_type
        self._lock = asyncio.Lock()
        self._open = AsyncExitStack()
        self._channel: AbstractChannel | None = None
        # Lanes that were not as they should be. Each of them is tried on a channel of its own.
        self._suspects: set[RegionLane] = set()

    async def declare(self, lane: RegionLane) -> BrokerFault | None:
        """None when the lane's queues are as they should be; raises Unavailable without a broker."""
        faults = [
            fault
            for wanted in wanted_queues(lane, self._queue_type)
            if (fault := await self._ensure(wanted, lane)) is not None
        ]
        if faults:
            self._suspects.add(lane)
            return min(faults, key=lambda each: each.delivered)
        self._suspects.discard(lane)
        return None

    async def _ensure(self, wanted: QueueDeclaration, lane: RegionLane) -> BrokerFault | None:
        try:
            await self._attempt(wanted, lane)
        except TimeoutError:
            if await self._broker.blocked():
                raise blocked() from None
            message = f"The queue {wanted.name} does not answer within {DECLARE_SECONDS:g} s"
            return BrokerFault(SILENT, message, delivered=wanted.name != queue_name(*lane))
        except LOST as error:
            if not refuses_one(error):
                raise
            return await self._as_it_is(wanted, lane, error)
        return None

    async def _attempt(self, wanted: QueueDeclaration, lane: RegionLane) -> None:
        if lane in self._suspects:
            async with asyncio.timeout(DECLARE_SECONDS), self._broker.channel(confirms=False) as own:
                await _declare(own, wanted, *lane)
            return
        async with self._lock:
            try:
                async with asyncio.timeout(DECLARE_SECONDS):
                    await _declare(await self._live(), wanted, *lane)
            except BaseException:
                await self.close()
                raise

    async def _as_it_is(self, wanted: QueueDeclaration, lane: RegionLane, error: Exception) -> BrokerFault:
        """Bind a queue that has other arguments, if only those are the matter."""
        refused = BrokerFault(
            REFUSED,
            f"The broker refuses the queue {wanted.name}: {said(error)}",
            delivered=wanted.name != queue_name(*lane),
        )
        if not isinstance(error, ChannelPreconditionFailed):
            return refused
        try:
            async with asyncio.timeout(DECLARE_SECONDS), self._broker.channel(confirms=False) as own:
                queue = await own.get_queue(wanted.name, ensure=False)
                await queue.bind(wanted.exchange, routing_key(*lane))
        except (*LOST, Unavailable):
            return refused
        message = f"The queue {wanted.name} has other arguments than it should and is used as it is: {said(error)}"
        return BrokerFault(MISCONFIGURED, message, delivered=True)

    async def _live(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            self._channel = await self._open.enter_async_context(self._broker.channel(confirms=False))
        return self._channel

    async def close(self) -> None:
        """Give the channel up."""
        opened, self._open, self._channel = self._open, AsyncExitStack(), None
        await _give_up(opened)


class LaneTopology:
    """The exchanges and queues that tasks are published to, on a channel with confirms."""

    def __init__(self, broker: Broker, queue_type: str) -> None:
        self._broker = broker
        self._declarer = Declarer(broker, queue_type)
        self._open = AsyncExitStack()
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._declared: set[RegionLane] = set()

    @property
    def version(self) -> str:
        """The broker's; empty while there is no connection."""
        return self._broker.version

    async def blocked(self) -> bool:
        """Whether the broker takes nothing from this connection, for want of memory or disk."""
        return await self._broker.blocked()

    async def exchange(self) -> AbstractExchange:
        """The exchange to publish to; raises Unavailable without a broker, and while it takes nothing."""
        if await self.blocked():
            raise blocked()
        async with translated():
            if self._channel is None or self._channel.is_closed or self._exchange is None:
                await self.close()
                self._channel = await self._open.enter_async_context(self._broker.channel(confirms=True))
                async with asyncio.timeout(DECLARE_SECONDS):
                    self._exchange = await declare_exchanges(self._channel)
            return self._exchange

    def channel_open(self) -> bool:
        """Whether the channel of `exchange` still is."""
        return self._channel is not None and not self._channel.is_closed

    async def prepare(self, lanes: Iterable[RegionLane]) -> dict[RegionLane, BrokerFault]:
        """Have the queues of these lanes, and give what is wrong with some; raises Unavailable without a broker."""
        missing = [lane for lane in dict.fromkeys(lanes) if lane not in self._declared]
        async with translated():
            found = await asyncio.gather(*(self._declarer.declare(lane) for lane in missing))
        self._declared.update(lane for lane, fault in zip(missing, found, strict=True) if fault is None)
        return {lane: fault for lane, fault in zip(missing, found, strict=True) if fault is not None}

    def forget(self, lane: RegionLane) -> None:
        """Declare this lane again before the next message."""
        self._declared.discard(lane)

    async def close(self) -> None:
        """Give the channels up."""
        opened, self._open, self._channel, self._exchange = self._open, AsyncExitStack(), None, None
        self._declared.clear()
        await self._declarer.close()
        await _give_up(opened)


def blocked() -> Unavailable:
    """The error for a broker that takes no message."""
    return Unavailable(
        "The message broker takes no messages (memory or disk alarm); tasks wait in the database",
        reason="BROKER_BLOCKED",
    )


async def _give_up(opened: AsyncExitStack) -> None:
    try:
        await opened.aclose()
    except (*LOST, Unavailable):
        return
