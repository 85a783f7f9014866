"""Whether the broker takes messages: a small one that nobody keeps, on the connection that tasks are published by."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aio_pika
from aio_pika.abc import AbstractExchange

from gateway.adapters.rabbitmq.connection import LOST, Broker, unavailable
from gateway.adapters.rabbitmq.publisher import UNCONFIRMED, shared
from gateway.adapters.rabbitmq.topology import blocked, declare_exchanges
from gateway.ports.lanes import BrokerFault
from runtime.errors import Unavailable

KEY = "probe"
# A broker that blocks says so at once; one that is merely busy has longer.
LOOK_SECONDS = 0.25
CONFIRM_SECONDS = 3.0


class BrokerProbe:
    """See gateway.flow.broker.Probe."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open = AsyncExitStack()
        self._exchange: AbstractExchange | None = None
        self._number = 0

    async def probe(self) -> BrokerFault | None:
        """See the protocol."""
        if not self._broker.connected:
            return shared(unavailable())
        if await self._broker.blocked():
            return shared(blocked())
        trying = asyncio.ensure_future(self._publish())
        try:
            await asyncio.wait([trying], timeout=LOOK_SECONDS)
            if trying.done() or not await self._broker.blocked():
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await trying
                return None
        except TimeoutError:
            await self.close()
            return BrokerFault(UNCONFIRMED, f"The broker does not confirm within {CONFIRM_SECONDS:g} s", shared=True)
        except (*LOST, Unavailable):
            await self.close()
            return shared(unavailable())
        finally:
            trying.cancel()
        return shared(blocked())

    async def _publish(self) -> None:
        if self._exchange is None or self._number != self._broker.number:
            await self.close()
            self._number = self._broker.number
            channel = await self._open.enter_async_context(self._broker.channel(confirms=True))
            self._exchange = await declare_exchanges(channel)
        await self._exchange.publish(aio_pika.Message(b""), KEY, mandatory=False)

    async def close(self) -> None:
        """Give the channel up."""
        opened, self._open, self._exchange = self._open, AsyncExitStack(), None
        try:
            await opened.aclose()
        except (*LOST, Unavailable):
            return
