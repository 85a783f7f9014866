"""A region's lanes, read from the broker itself: mutual TLS, and the certificate's SPIFFE ID is the account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError

from region.ports.inbound import Arrival
from runtime.errors import Unavailable

if TYPE_CHECKING:
    from region.ports.inbound import Inlet

LOST = (AMQPError, OSError, asyncio.InvalidStateError, TimeoutError, RuntimeError)
ANSWER_SECONDS = 10.0
HEARTBEAT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and whom the region is to it; the files are read at every connection."""

    address: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    virtual_host: str = "/"


def _unavailable(error: BaseException) -> Unavailable:
    return Unavailable(f"The message broker does not serve this region ({type(error).__name__})", reason="BROKER_LOST")


class AmqpInlet:
    """See region.ports.inbound.Inlet."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._arrived: asyncio.Queue[Arrival | None] = asyncio.Queue()

    async def take(self, message: DeliveredMessage) -> None:
        """A message came."""
        assert message.delivery_tag is not None
        self._arrived.put_nowait(Arrival(message.delivery_tag, message.body))

    def lost(self) -> None:
        """The channel has ended."""
        self._arrived.put_nowait(None)

    async def arrivals(self) -> AsyncIterator[Arrival]:
        """See the port."""
        while (arrival := await self._arrived.get()) is not None:
            yield arrival
        raise Unavailable("The message broker ended the connection", reason="BROKER_LOST")

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


class AmqpInbound:
    """See region.ports.inbound.Inbound. Each lane has a connection of its own."""

    def __init__(self, broker: Broker, region: str) -> None:
        self._broker = broker
        self._region = region

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._broker.ca_file))
        context.load_cert_chain(self._broker.cert_file, self._broker.key_file)
        return context

    @asynccontextmanager
    async def open(self, lane: int, credit: int) -> AsyncIterator[Inlet]:
        """See the port."""
        host = self._virtual_host()
        url = f"amqps://{self._broker.address}/{host}?auth=EXTERNAL&heartbeat={HEARTBEAT_SECONDS}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await aiormq.connect(url, context=self._context())
        except (*LOST, ssl.SSLError) as error:
            raise _unavailable(error) from error
        inlet: AmqpInlet | None = None
        try:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    channel = await connection.channel(publisher_confirms=False)
                    inlet = AmqpInlet(channel)
                    connection.closing.add_done_callback(lambda _: inlet.lost())
                    channel.closing.add_done_callback(lambda _: inlet.lost())
                    await channel.basic_qos(prefetch_count=credit)
                    await channel.basic_consume(f"orbital.lane.{lane}.{self._region}", inlet.take)
            except LOST as error:
                raise _unavailable(error) from error
            yield inlet
        finally:
            with suppress(*LOST):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.close()

    def _virtual_host(self) -> str:
        return self._broker.virtual_host.replace("/", "%2F")
