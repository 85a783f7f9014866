"""transport: tasks that reach the region by another path than the lane stream, for as long as that path is declared."""

from __future__ import annotations

import asyncio
from collections import deque

from orbital.v1 import dispatch_pb2
from orbital.v1.resource_pb2 import Transport

from region.flow.receive import Receiver
from region.ports.inbound import Inbound, Inlet
from region.ports.journal import Journal
from region.ports.world import World
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff, task_group
from runtime.logs import get_logger

log = get_logger(__name__)

MOST_KEPT = 65_536
# Refusals that wait for the stream; what is beyond is in the region's log alone.
MOST_REFUSALS = 100
RECONNECT_MOST = 2.0
FACT = "transport"


class Choice:
    """The path that is declared for this region's tasks, shared by its lanes and kept over a restart."""

    def __init__(self, journal: Journal, others: frozenset[Transport.ValueType]) -> None:
        self._journal = journal
        self._others = others
        self._changed = asyncio.Event()
        self.transport: Transport.ValueType = Transport.TRANSPORT_STREAM

    @property
    def apart(self) -> bool:
        """Whether tasks come by another path than the stream."""
        return self.transport != Transport.TRANSPORT_STREAM

    async def told(self, declared: Transport.ValueType) -> bool:
        """The control plane said which path it is; True when that is news. What is not set up here is the stream."""
        if declared == Transport.TRANSPORT_UNSPECIFIED or not self.take(declared):
            return False
        log.info("transport_changed", transport=Transport.Name(self.transport))
        await self._journal.keep_fact(FACT, self.transport)
        return True

    def take(self, declared: int) -> bool:
        """Go by this path from now on; True when that is another."""
        chosen = Transport.ValueType(declared) if declared in self._others else Transport.TRANSPORT_STREAM
        if chosen == self.transport:
            return False
        self.transport = chosen
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


async def load_choice(journal: Journal, others: frozenset[Transport.ValueType]) -> Choice:
    """The path that the last run knew of."""
    choice = Choice(journal, others)
    choice.take(int(await journal.fact(FACT, Transport.TRANSPORT_STREAM)))
    return choice


class Refusals:
    """What was refused on another path, for the stream to tell."""

    def __init__(self) -> None:
        self._waiting: deque[dispatch_pb2.Refusal] = deque(maxlen=MOST_REFUSALS)
        self._some = asyncio.Event()

    def add(self, reason: str, body: bytes) -> None:
        """One more."""
        self._waiting.append(dispatch_pb2.Refusal(reason=reason, body=body[:MOST_KEPT]))
        self._some.set()

    async def next(self) -> dispatch_pb2.Refusal:
        """The oldest; it stays until `told`."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting[0]

    def told(self) -> None:
        """The oldest was sent."""
        self._waiting.popleft()


class Inflow:
    """Takes one lane's tasks from another path whenever that is the one declared."""

    def __init__(
        self,
        lane: int,
        inbound: Inbound,
        transport: Transport.ValueType,
        choice: Choice,
        receiver: Receiver,
        refusals: Refusals,
        credit: int,
        world: World,
    ) -> None:
        self._lane = lane
        self._inbound = inbound
        self._transport = transport
        self._choice = choice
        self._receiver = receiver
        self._refusals = refusals
        self._credit = credit
        self._backoff = Backoff(world.random, most=RECONNECT_MOST)

    async def run(self) -> None:
        """Keep the path open while it is declared, with a growing wait after each failure."""
        while True:
            if self._choice.transport != self._transport:
                await self._choice.changed()
                continue
            try:
                async with self._inbound.open(self._lane, self._credit) as inlet:
                    log.info("inlet_opened", lane=self._lane, transport=Transport.Name(self._transport))
                    self._backoff.reset()
                    await self._until_changed(inlet)
            except* OrbitalError as group:
                log.warning("inlet_lost", lane=self._lane, error=str(group.exceptions[0]))
                await asyncio.sleep(self._backoff.next())

    async def _until_changed(self, inlet: Inlet) -> None:
        receiver = self._receiver.afresh()
        bodies: dict[int, bytes] = {}

        async def send(request: dispatch_pb2.SubscribeRequest) -> None:
            if request.WhichOneof("message") == "reject":
                tag = request.reject.delivery_id
                self._refusals.add(request.reject.reason, bodies.pop(tag, b""))
                await inlet.reject(tag)
                return
            tag = request.acknowledge.delivery_id
            # A rejected message has left already: the broker must not be told of it twice.
            known = [each for each in bodies if each <= tag]
            if known:
                await inlet.acknowledge(max(known))
            for each in known:
                del bodies[each]

        async def take() -> None:
            async for arrival in inlet.arrivals():
                bodies[arrival.tag] = arrival.body
                receiver.take(dispatch_pb2.Delivery(delivery_id=arrival.tag, batch=arrival.body))

        async with task_group() as group:
            parts = [group.create_task(take()), group.create_task(receiver.run(send))]
            # It may have changed while the path was being opened.
            while self._choice.transport == self._transport:
                await self._choice.changed()
            for part in parts:
                part.cancel()
