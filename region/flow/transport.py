"""transport: tasks that reach the region by another path than the lane stream, for as long as that path is declared."""

from __future__ import annotations

import asyncio
from collections import deque

from orbital.v1 import dispatch_pb2
from orbital.v1.resource_pb2 import Transport

from region.flow.receive import Receiver
from region.ports.host import Host
from region.ports.inbound import QUEUE_GONE, Inbound, Subscription
from region.ports.journal import Journal
from runtime.errors import OrbitalError
from runtime.groups import leaves
from runtime.lifecycle import Backoff, task_group
from runtime.logs import get_logger
from runtime.wellknown import label

log = get_logger(__name__)

IMMEDIATE = 0
MOST_KEPT = 65_536  # bytes of what was refused are told
# What waits for the stream; what is beyond is in the region's log alone.
MOST_NEWS = 100
RECONNECT_MOST = 2.0
# After a path was left, so long without a message means that it is empty.
QUIET_SECONDS = 1.0
FACT = "transport"


class PathChoice:
    """The path that is declared for this region's tasks, shared by its lanes and kept over a restart.

    Lane 0 takes every path at once, whatever is declared.
    """

    def __init__(self, journal: Journal, others: frozenset[Transport.ValueType]) -> None:
        self._journal = journal
        self._others = others
        self._changed = asyncio.Event()
        self.transport: Transport.ValueType = Transport.TRANSPORT_STREAM

    def takes(self, lane: int, transport: Transport.ValueType) -> bool:
        """Whether tasks of the lane come by this path."""
        return lane == IMMEDIATE or self.transport == transport

    def by_stream(self, lane: int) -> bool:
        """Whether the lane's stream carries tasks.

        Beside MQTT it does: what came before the session began, or after it was lost, is in the lane's queue.
        """
        return lane == IMMEDIATE or self.transport != Transport.TRANSPORT_AMQP

    async def told(self, declared: Transport.ValueType) -> bool:
        """The control plane said which path it is; True when that is news. What is not set up here is the stream."""
        if declared == Transport.TRANSPORT_UNSPECIFIED or not self.take(declared):
            return False
        log.info("transport_changed", transport=label(Transport, self.transport))
        await self._journal.keep_fact(FACT, self.transport)
        return True

    def take(self, declared: int) -> bool:
        """Go by this path from now on; True when that is another."""
        known = declared if declared in self._others else Transport.TRANSPORT_STREAM
        chosen = Transport.ValueType(known)
        if chosen == self.transport:
            return False
        self.transport = chosen
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


async def load_choice(journal: Journal, others: frozenset[Transport.ValueType]) -> PathChoice:
    """The path that the last run knew of."""
    choice = PathChoice(journal, others)
    choice.take(int(await journal.fact(FACT, Transport.TRANSPORT_STREAM)))
    return choice


class PathEvents:
    """What happened on other paths, for the stream to tell."""

    def __init__(self) -> None:
        self._waiting: deque[dispatch_pb2.SubscribeRequest] = deque(maxlen=MOST_NEWS)
        self._some = asyncio.Event()

    def refused(self, reason: str, body: bytes) -> None:
        """A message was refused."""
        refusal = dispatch_pb2.Refusal(reason=reason, body=body[:MOST_KEPT])
        self._add(dispatch_pb2.SubscribeRequest(refusal=refusal))

    def lost(self) -> None:
        """What the broker kept for the lane is lost."""
        self._add(dispatch_pb2.SubscribeRequest(rehydrate=dispatch_pb2.Rehydrate()))

    def _add(self, news: dispatch_pb2.SubscribeRequest) -> None:
        self._waiting.append(news)
        self._some.set()

    async def next(self) -> dispatch_pb2.SubscribeRequest:
        """The oldest; it stays until `told`."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting[0]

    def told(self) -> None:
        """The oldest was sent."""
        self._waiting.popleft()


class PathReader:
    """Takes one lane's tasks from another path whenever they come by it."""

    def __init__(
        self, *, inbound: Inbound, choice: PathChoice, receiver: Receiver, news: PathEvents, credit: int, host: Host
    ) -> None:
        self._lane = receiver.lane
        self._inbound = inbound
        self._transport = inbound.transport
        self._choice = choice
        self._receiver = receiver
        self._news = news
        self._credit = credit
        self._backoff = Backoff(host.random, most=RECONNECT_MOST)

    async def run(self) -> None:
        """Keep the path open while tasks come by it, with a growing wait after each failure."""
        while True:
            if not self._wanted():
                await self._choice.changed()
                continue
            try:
                async with self._inbound.open(self._lane, self._credit) as inlet:
                    log.info("inlet_opened", lane=self._lane, transport=label(Transport, self._transport))
                    self._backoff.reset()
                    if inlet.fresh:
                        self._news.lost()
                    await self._live(inlet)
            except* OrbitalError as group:
                transport, error = label(Transport, self._transport), str(group.exceptions[0])
                log.warning("inlet_lost", lane=self._lane, transport=transport, error=error)
                if any(getattr(each, "reason", "") == QUEUE_GONE for each in leaves(group)):
                    # The gateway makes the queue again, and drives what was in it.
                    self._news.lost()
                await asyncio.sleep(self._backoff.next())

    def _wanted(self) -> bool:
        return self._choice.takes(self._lane, self._transport)

    async def _live(self, inlet: Subscription) -> None:
        intake = _Intake(inlet, self._receiver.afresh(self._transport), self._news)
        async with task_group() as group:
            parts = [group.create_task(part) for part in (intake.take(), intake.receiver.run(intake.send))]
            # It may have changed while the path was being opened.
            while self._wanted():
                await self._choice.changed()
            if await inlet.leave():
                await intake.quiet()
            for part in parts:
                part.cancel()


class _Intake:
    """The messages of one inlet, from their arrival to their acknowledgement."""

    def __init__(self, inlet: Subscription, receiver: Receiver, news: PathEvents) -> None:
        self._inlet = inlet
        self._news = news
        self._bodies: dict[int, bytes] = {}
        self._newest = 0
        self.receiver = receiver

    async def take(self) -> None:
        """Take what arrives, until cancelled."""
        async for arrival in self._inlet.arrivals():
            self._newest = arrival.tag
            self._bodies[arrival.tag] = arrival.body
            self.receiver.take(dispatch_pb2.Delivery(delivery_id=arrival.tag, batch=arrival.body))

    async def send(self, request: dispatch_pb2.SubscribeRequest) -> None:
        """What the receiver says of messages, told to whom they came from."""
        if request.WhichOneof("message") == "refusal":
            self._news.refused(request.refusal.reason, request.refusal.body)
            return
        if request.WhichOneof("message") == "reject":
            tag = request.reject.delivery_id
            self._news.refused(request.reject.reason, self._bodies.pop(tag, b""))
            await self._inlet.reject(tag)
            return
        # A rejected message has left already: the broker must not be told of it twice.
        known = [each for each in self._bodies if each <= request.acknowledge.delivery_id]
        if known:
            await self._inlet.acknowledge(max(known))
        for each in known:
            del self._bodies[each]

    async def quiet(self) -> None:
        """Wait until nothing has come for a while and all that came is acknowledged."""
        seen = -1
        while self._bodies or seen != self._newest:
            seen = self._newest
            await asyncio.sleep(QUIET_SECONDS)
