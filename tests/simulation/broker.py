"""The broker: durable queues by region and lane, at-least-once delivery, and what brokers do when they are hurt."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gateway.ports.lanes import BrokerFault, Delivery, LaneMessage
from runtime.errors import Unavailable
from tests.simulation.process import Network, Process

DOWN = "The message broker does not answer; nothing is lost, try again"


class Queue:
    """One queue; a message is forgotten when it is acknowledged."""

    def __init__(self) -> None:
        self.ready: deque[tuple[bytes, bool]] = deque()
        self.changed = asyncio.Event()

    def put(self, body: bytes, *, redelivered: bool = False) -> None:
        """At the end, or at the front when it comes back."""
        if redelivered:
            self.ready.appendleft((body, True))
        else:
            self.ready.append((body, False))
        self.changed.set()


class Broker:
    """All queues. `down` refuses every call; `empty` loses what they hold, as lost data does."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, int], Queue] = {}
        self.down = False
        self.generation = 0
        self.published = 0

    def queue(self, region: str, lane: int) -> Queue:
        """The queue, made if need be."""
        return self.queues.setdefault((region, lane), Queue())

    def fail(self) -> None:
        """Go away: every consumer loses its connection; what was not acknowledged is delivered again."""
        self.down = True
        self.generation += 1
        for queue in self.queues.values():
            queue.changed.set()

    def recover(self, *, empty: bool) -> None:
        """Come back, with or without what was kept."""
        if empty:
            for queue in self.queues.values():
                queue.ready.clear()
        self.down = False


class Consumer:
    """One reader of one queue."""

    def __init__(self, broker: Broker, queue: Queue, credit: int, process: Process, network: Network) -> None:
        self._broker = broker
        self._generation = broker.generation
        self._queue = queue
        self._credit = credit
        self._process = process
        self._network = network
        self._held: dict[int, bytes] = {}
        self._tag = 0
        self._acknowledged = asyncio.Event()

    @property
    def fault(self) -> None:
        """Nothing is wrong with the queue."""

    def _check(self) -> None:
        if self._broker.down or self._broker.generation != self._generation:
            raise Unavailable(DOWN, reason="BROKER_UNAVAILABLE")

    async def messages(self) -> AsyncIterator[Delivery]:
        """Messages as they come."""
        while True:
            await self._process.check()
            self._check()
            if len(self._held) >= self._credit:
                self._acknowledged.clear()
                await self._acknowledged.wait()
            elif not self._queue.ready:
                self._queue.changed.clear()
                await self._queue.changed.wait()
            else:
                body, again = self._queue.ready.popleft()
                self._tag += 1
                self._held[self._tag] = body
                await self._network.pass_time()
                yield Delivery(self._tag, body, redelivered=again)

    async def acknowledge(self, tag: int) -> None:
        """Everything up to and including `tag` is forgotten."""
        await self._process.maybe_die()
        await self._network.pass_time()
        self._check()
        for each in [each for each in self._held if each <= tag]:
            del self._held[each]
        self._acknowledged.set()

    async def reject(self, tag: int) -> None:
        """Dead-letter one."""
        self._held.pop(tag, None)
        self._acknowledged.set()

    def close(self) -> None:
        """What was not acknowledged goes back, in order."""
        for _, body in sorted(self._held.items(), reverse=True):
            self._queue.put(body, redelivered=True)
        self._held.clear()


class BrokerClient:
    """The broker as one process of the gateway reaches it: `Publisher` and `Lanes`."""

    def __init__(self, broker: Broker, process: Process, network: Network) -> None:
        self._broker = broker
        self._process = process
        self._network = network

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        """Keep them; a confirm may be lost, and only some may have been kept."""
        await self._process.maybe_die()
        await self._network.pass_time()
        fates = [self._keep(lane_message) for lane_message in lane_messages]
        await self._process.maybe_die()
        await self._network.pass_time()
        return fates

    def _keep(self, lane_message: LaneMessage) -> BrokerFault | None:
        if self._broker.down or self._network.random.random() < self._network.lost_request:
            return BrokerFault("BROKER_UNAVAILABLE", DOWN, shared=True)
        self._broker.queue(lane_message.region, lane_message.lane).put(lane_message.body)
        self._broker.published += 1
        if self._network.random.random() < self._network.lost_answer:
            return BrokerFault("BROKER_UNAVAILABLE", DOWN, shared=True)
        return None

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        """Every lane is as it should be while the broker is there."""
        del lane
        return [BrokerFault("BROKER_UNAVAILABLE", DOWN, shared=True) if self._broker.down else None for _ in regions]

    async def restore(self, region: str, lane: int) -> None:
        """Nothing is ever gone here but what is in it."""

    @asynccontextmanager
    async def consume(self, region: str, lane: int, credit: int) -> AsyncIterator[Consumer]:
        """A consumer that holds at most `credit`."""
        await self._process.check()
        if self._broker.down:
            raise Unavailable(DOWN, reason="BROKER_UNAVAILABLE")
        consumer = Consumer(self._broker, self._broker.queue(region, lane), credit, self._process, self._network)
        try:
            yield consumer
        finally:
            consumer.close()

    @asynccontextmanager
    async def ready(self, region: str, lane: int) -> AsyncIterator[Consumer]:
        """Nobody reads here."""
        async with self.consume(region, lane, 0) as consumer:
            yield consumer

    async def withdraw(self, region: str, lane: int) -> int | None:
        """There are no sessions."""
        del region, lane
        return 0
