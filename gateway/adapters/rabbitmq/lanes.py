"""Lanes on RabbitMQ, read: a consumer with a channel of its own for each lane stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from gateway.adapters.rabbitmq.connection import LOST, Broker, translated, unavailable
from gateway.adapters.rabbitmq.topology import (
    EXCHANGE,
    REFUSED,
    Declarer,
    RegionLane,
    declare_exchanges,
    declare_queue,
    queue_name,
    refuses_one,
    routing_key,
    said,
    session_name,
)
from gateway.ports.lanes import QUEUE_GONE, BrokerFault, Delivery
from runtime.errors import Unavailable
from runtime.logs import get_logger

if TYPE_CHECKING:
    from gateway.ports.lanes import Consumer

log = get_logger(__name__)


class _LaneConsumer:
    """Implements `Consumer`."""

    def __init__(self, channel: AbstractChannel, fault: BrokerFault | None = None) -> None:
        self._channel = channel
        self.fault = fault
        self._messages: asyncio.Queue[AbstractIncomingMessage | Unavailable] = asyncio.Queue()
        channel.close_callbacks.add(lambda *_: self._messages.put_nowait(unavailable()))

    async def hear_cancel(self) -> None:
        """Hear of it when the broker takes the queue from its reader."""
        underlay = await self._channel.get_underlay_channel()
        gone = Unavailable("The broker has cancelled the consumer: its queue is gone", reason=QUEUE_GONE)
        underlay.on_consumer_cancel_callbacks.add(lambda _: self._messages.put_nowait(gone))

    async def take(self, message: AbstractIncomingMessage) -> None:
        self._messages.put_nowait(message)

    async def messages(self) -> AsyncIterator[Delivery]:
        while not isinstance(message := await self._messages.get(), Unavailable):
            assert message.delivery_tag is not None
            yield Delivery(message.delivery_tag, message.body, bool(message.redelivered))
        raise message

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
        self._declarer = Declarer(broker, queue_type)
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
    async def _queue(
        self, region: str, lane: int
    ) -> AsyncIterator[tuple[AbstractChannel, AbstractQueue, BrokerFault | None]]:
        """A channel with the lane's queue; one that has other arguments as it is, with what is wrong with it."""
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(self._broker.channel(confirms=False))
            fault: BrokerFault | None = None
            async with translated(), asyncio.timeout(10):
                try:
                    queue = await self._declare(channel, region, lane)
                except LOST as error:
                    if not refuses_one(error):
                        raise
                    fault = await self._declarer.declare(RegionLane(region, lane))
                    channel = await stack.enter_async_context(self._broker.channel(confirms=False))
                    queue = await channel.get_queue(queue_name(region, lane), ensure=False)
            yield channel, queue, fault

    @asynccontextmanager
    async def consume(self, region: str, lane: int, credit: int) -> AsyncIterator[Consumer]:
        """A consumer with a channel of its own; leaving it gives its messages back to the queue."""
        async with self._queue(region, lane) as (channel, queue, fault):
            consumer = _LaneConsumer(channel, fault)
            try:
                async with asyncio.timeout(10):
                    await channel.set_qos(prefetch_count=credit)
                    await consumer.hear_cancel()
                    tag = await queue.consume(consumer.take)
            except LOST as error:
                if refuses_one(error):
                    name = queue_name(region, lane)
                    raise Unavailable(f"The broker refuses to read {name}: {said(error)}", reason=REFUSED) from error
                raise unavailable() from error
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
        async with self._queue(region, lane) as (channel, _, fault):
            yield _LaneConsumer(channel, fault)

    async def restore(self, region: str, lane: int) -> None:
        """See the port."""
        async with self._queue(region, lane):
            return
