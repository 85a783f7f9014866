"""A region's lanes, read from the broker itself: mutual TLS, and the certificate's SPIFFE ID is the account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity
from orbital.v1.resource_pb2 import Transport

from region.adapters.broker import Broker, tls
from region.ports.inbound import QUEUE_GONE, Delivery
from runtime.errors import Unavailable

if TYPE_CHECKING:
    from region.ports.inbound import Subscription

LOST = (AMQPError, OSError, asyncio.InvalidStateError, TimeoutError, RuntimeError)
ANSWER_SECONDS = 10.0
HEARTBEAT_SECONDS = 5


def queue_name(region: str, lane: int) -> str:
    """The queue that is read: of lane 0, which comes by every path at once, one that is for this path alone."""
    return f"orbital.lane.{lane}.{region}" + ("" if lane else ".amqp")


def _unavailable(error: BaseException) -> Unavailable:
    reason = QUEUE_GONE if isinstance(error, ChannelNotFoundEntity) else "BROKER_LOST"
    return Unavailable(f"The message broker does not serve this region ({type(error).__name__})", reason=reason)


class AmqpSubscription:
    """See region.ports.inbound.Subscription."""

    fresh = False

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._arrived: asyncio.Queue[Delivery | Unavailable] = asyncio.Queue()

    async def take(self, message: DeliveredMessage) -> None:
        """A message came."""
        assert message.delivery_tag is not None
        self._arrived.put_nowait(Delivery(message.delivery_tag, message.body))

    def lost(self) -> None:
        """The channel has ended."""
        self._arrived.put_nowait(Unavailable("The message broker ended the connection", reason="BROKER_LOST"))

    def cancelled(self) -> None:
        """The broker took the queue from its reader."""
        self._arrived.put_nowait(Unavailable("The queue that was read is gone", reason=QUEUE_GONE))

    async def arrivals(self) -> AsyncIterator[Delivery]:
        """See the port."""
        while isinstance(arrival := await self._arrived.get(), Delivery):
            yield arrival
        raise arrival

    async def acknowledge(self, tag: int) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._channel.basic_ack(tag, multiple=True)
        except LOST as error:
            raise _unavailable(error) from error

    async def reject(self, tag: int) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._channel.basic_reject(tag, requeue=False)
        except LOST as error:
            raise _unavailable(error) from error

    async def leave(self) -> bool:
        """See the port: what is not acknowledged goes back to the queue."""
        return False


class AmqpInbound:
    """See region.ports.inbound.Inbound. Each lane has a connection of its own."""

    transport = Transport.TRANSPORT_AMQP

    def __init__(self, broker: Broker, region: str) -> None:
        self._broker = broker
        self._region = region

    @asynccontextmanager
    async def open(self, lane: int, credit: int) -> AsyncIterator[Subscription]:
        """See the port."""
        host = self._virtual_host()
        url = f"amqps://{self._broker.address}/{host}?auth=EXTERNAL&heartbeat={HEARTBEAT_SECONDS}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await aiormq.connect(url, context=tls(self._broker))
        except (*LOST, ssl.SSLError) as error:
            raise _unavailable(error) from error
        inlet: AmqpSubscription | None = None
        try:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    channel = await connection.channel(publisher_confirms=False)
                    inlet = AmqpSubscription(channel)
                    connection.closing.add_done_callback(lambda _: inlet.lost())
                    channel.closing.add_done_callback(lambda _: inlet.lost())
                    channel.on_consumer_cancel_callbacks.add(lambda _: inlet.cancelled())
                    await channel.basic_qos(prefetch_count=credit)
                    await channel.basic_consume(queue_name(self._region, lane), inlet.take)
            except LOST as error:
                raise _unavailable(error) from error
            yield inlet
        finally:
            with suppress(*LOST):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.close()

    def _virtual_host(self) -> str:
        return self._broker.virtual_host.replace("/", "%2F")
