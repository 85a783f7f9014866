"""How a region's queues stand: depth and consumers, asked passively over AMQP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity

from gateway.adapters.rabbitmq.connection import Broker, translated
from gateway.adapters.rabbitmq.topology import copies_name, queue_name, session_name
from gateway.ports.flags import QueueState
from runtime.errors import Unavailable

LANES = (0, 1, 2)
# Less than a region's Envoy gives its checker to be answered.
SECONDS = 0.6
REMOVE_SECONDS = 5.0


class RabbitQueues:
    """Implements `QueueReader`, on one channel for all."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = asyncio.Lock()
        self._open = AsyncExitStack()
        self._channel: AbstractChannel | None = None

    @property
    def version(self) -> str:
        """The broker's, empty while there is no connection."""
        return self._broker.version

    async def queues(self, region: str) -> Sequence[QueueState]:
        """See the port."""
        async with translated(), asyncio.timeout(SECONDS), self._lock:
            return [state for lane in LANES if (state := await self._look(region, lane)) is not None]

    async def _look(self, region: str, lane: int) -> QueueState | None:
        name = queue_name(region, lane)
        try:
            channel = await self._live()
            queue = await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            # The broker closes a channel that asks for what is not there.
            await self.close()
            return None
        except BaseException:
            await self.close()
            raise
        found = queue.declaration_result
        return QueueState(lane, name, found.message_count or 0, found.consumer_count or 0)

    async def remove(self, region: str) -> None:
        """Remove all queues of a region, and what waits in them."""
        names = [queue_name(region, lane) for lane in LANES] + [session_name(region, lane) for lane in LANES]
        async with translated(), asyncio.timeout(REMOVE_SECONDS), self._lock:
            try:
                channel = await self._live()
                for name in (*names, copies_name(region)):
                    await channel.queue_delete(name)
            except BaseException:
                await self.close()
                raise

    async def _live(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            self._channel = await self._open.enter_async_context(self._broker.channel(confirms=False))
        return self._channel

    async def close(self) -> None:
        """Give the channel up."""
        opened, self._open, self._channel = self._open, AsyncExitStack(), None
        try:
            await opened.aclose()
        except Unavailable:
            return
