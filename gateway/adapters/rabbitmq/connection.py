"""One connection to the broker that comes back by itself, without pretending that its channels survived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from gateway.settings import RabbitMQSettings
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.settings import read_secret

log = get_logger(__name__)

LOST = (AMQPError, ChannelInvalidStateError, OSError, asyncio.InvalidStateError, TimeoutError)

# The driver answers at once whether the connection may publish, and not at all while it may not.
READY_SECONDS = 0.05


def unavailable() -> Unavailable:
    """The error for a broker that does not answer."""
    return Unavailable("The message broker does not answer; tasks wait in the database", reason="BROKER_UNAVAILABLE")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn the driver's exceptions into Unavailable.."""
    try:
        yield
    except LOST as error:
        raise unavailable() from error


class Broker:
    """Holds a connection; `run` renews it whenever it is lost."""

    def __init__(self, settings: RabbitMQSettings, name: str, backoff: Backoff) -> None:
        self._settings = settings
        self._name = name
        self._backoff = backoff
        self._connection: AbstractConnection | None = None
        # Which connection it is: what was declared on an earlier one may be gone.
        self.number = 0

    @property
    def version(self) -> str:
        """What the broker says that it is; empty while there is no connection."""
        transport: Any = self._connection and self._connection.transport
        return str(transport.connection.server_properties.get("version", "")) if transport else ""

    async def blocked(self) -> bool:
        """Whether the broker has said that it takes nothing from this connection, for want of memory or disk."""
        transport: Any = self._connection and self._connection.transport
        if not transport:
            return False
        try:
            async with asyncio.timeout(READY_SECONDS):
                await transport.connection.ready()
        except TimeoutError:
            return True
        return False

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            # The driver's own `closed` says nothing of a connection that the broker closed: its callback does.
            lost = asyncio.Event()
            try:
                connection = await self._connect(lost)
            except LOST as error:
                wait = self._backoff.next()
                log.warning("broker away", connection=self._name, error=type(error).__name__, seconds=round(wait, 2))
                await asyncio.sleep(wait)
                continue
            self._backoff.reset()
            self._connection = connection
            self.number += 1
            log.info("broker connected", connection=self._name)
            try:
                await lost.wait()
                log.warning("broker lost", connection=self._name)
            finally:
                self._connection = None
                await _close(connection)

    async def _connect(self, lost: asyncio.Event) -> AbstractConnection:
        settings = self._settings
        async with asyncio.timeout(10):
            connection = await aio_pika.connect(
                host=settings.host,
                port=settings.port,
                login=settings.user,
                password=read_secret(settings.password_file).get_secret_value(),
                virtualhost=settings.virtual_host,
                client_properties={"connection_name": self._name},
                heartbeat=10,
            )
        connection.close_callbacks.add(lambda *_: lost.set())
        return connection

    @asynccontextmanager
    async def channel(self, *, confirms: bool) -> AsyncIterator[AbstractChannel]:
        """A channel of its own; raises Unavailable while there is no connection."""
        if self._connection is None:
            raise unavailable()
        channel = await _open(self._connection, confirms=confirms)
        try:
            yield channel
        finally:
            await _close(channel)


async def _open(connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
    """A channel. Cut in half, its opening would make the broker close the connection: a cancellation waits for it."""
    try:
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        opening = asyncio.ensure_future(channel.initialize(timeout=10))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening], timeout=5)
            await _close(channel)
            raise
    except (*LOST, RuntimeError) as error:  # the driver's word for a connection that is already closed
        raise unavailable() from error
    return channel


async def _close(open_end: AbstractConnection | AbstractChannel) -> None:
    """Close it, if the other end still cares."""
    if not open_end.is_closed:
        try:
            async with asyncio.timeout(5):
                await open_end.close()
        except LOST:
            return
