"""One connection to the broker that comes back by itself, without pretending that its channels survived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        try:
            while True:
                try:
                    await self._connect()
                except LOST as error:
                    wait = self._backoff.next()
                    log.warning(
                        "broker away", connection=self._name, error=type(error).__name__, seconds=round(wait, 2)
                    )
                    await asyncio.sleep(wait)
                    continue
                assert self._connection is not None
                self._backoff.reset()
                await self._connection.closed()
                self._connection = None
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _connect(self) -> None:
        settings = self._settings
        async with asyncio.timeout(10):
            self._connection = await aio_pika.connect(
                host=settings.host,
                port=settings.port,
                login=settings.user,
                password=read_secret(settings.password_file).get_secret_value(),
                virtualhost=settings.virtual_host,
                client_properties={"connection_name": self._name},
                heartbeat=10,
            )
        log.info("broker connected", connection=self._name)

    @asynccontextmanager
    async def channel(self, *, confirms: bool) -> AsyncIterator[AbstractChannel]:
        """A channel of its own; raises Unavailable while there is no connection."""
        if self._connection is None or self._connection.is_closed:
            raise unavailable()
        async with translated(), asyncio.timeout(10):
            channel = await self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        try:
            yield channel
        finally:
            if not channel.is_closed:
                async with translated(), asyncio.timeout(5):
                    await channel.close()
