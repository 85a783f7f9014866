"""One lane's stream: opened, watched for silence, opened again; its receiver and its reporter live on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orbital.v1 import dispatch_pb2
from orbital.v1.resource_pb2 import Transport

from region.flow.holdings import Holdings
from region.flow.lease import Beats
from region.flow.marks import StateMarks
from region.flow.receive import Receiver, Send
from region.flow.report import Linger, Reporter, report_apart
from region.flow.signals import Contact, LaneSignals
from region.flow.transport import IMMEDIATE, Choice, News
from region.ports.gateway import Gateway, Stream
from region.ports.journal import Journal
from region.ports.signing import Signs, Verifies
from region.ports.world import World
from runtime.errors import OrbitalError, Unavailable
from runtime.lifecycle import Backoff, task_group
from runtime.logs import get_logger
from runtime.wellknown import seconds

log = get_logger(__name__)

# A stream is opened anew this long before the gateway would end it.
EXPIRE_MARGIN = 1.0
# The longest wait, in seconds, before the next try to reach a gateway that is away.
RECONNECT_MOST = 2.0


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """`silence`: seconds without any message after which a stream counts as dead."""

    credit: int
    merge: int
    linger: Linger
    silence: float


class _Expired(Exception):
    """The stream reached the age at which it is authorised anew."""


class Lane:
    """Keeps the stream of one lane of the region open."""

    def __init__(
        self,
        region: str,
        lane: int,
        gateway: Gateway,
        journal: Journal,
        signer: Signs,
        keys: Verifies,
        beats: Beats,
        signals: LaneSignals,
        contact: Contact,
        choice: Choice,
        news: News,
        world: World,
        settings: LaneSettings,
        marks: StateMarks,
    ) -> None:
        self._marks = marks
        self._holdings = Holdings(region, journal, marks, signer)
        self._region = region
        self._lane = lane
        self._gateway = gateway
        self._journal = journal
        self._signer = signer
        self._keys = keys
        self._beats = beats
        self._signals = signals
        self._contact = contact
        self._choice = choice
        self._news = news
        self._world = world
        self._settings = settings
        self._backoff = Backoff(world.random, most=RECONNECT_MOST)

    def receiver(self) -> Receiver:
        """A receiver of this lane's messages, by whatever path they come."""
        return Receiver(
            *(self._region, self._lane, self._journal, self._keys, self._world),
            *(self._signals.work, self._signals.reports, self._settings.merge),
        )

    async def run(self) -> None:
        """Open the stream again whenever it ends, at once after its age, with a growing wait after a failure."""
        while True:
            began = self._world.steady()
            if not await self._once() or self._world.steady() - began < EXPIRE_MARGIN:
                await self._contact.sleep(self._backoff.next())
                await self._report_apart()

    async def _once(self) -> bool:
        """One life of the stream; True when it ended because of its age."""
        lost: OrbitalError | None = None
        try:
            async with self._gateway.subscribe(self._lane) as stream:
                await self._live(stream)
        except* _Expired:
            log.info("stream_renewed", lane=self._lane)
        except* OrbitalError as group:
            lost = _first(group)
            log.warning("stream_lost", lane=self._lane, reason=lost.reason, error=lost.message)
        return lost is None

    async def _report_apart(self) -> None:
        try:
            while await report_apart(self._region, self._lane, self._journal, self._signer, self._gateway):
                pass
        except OrbitalError:
            # The same path is down; the stream will carry them.
            return

    async def _live(self, stream: Stream) -> None:
        outbox: asyncio.Queue[dispatch_pb2.SubscribeRequest] = asyncio.Queue(maxsize=64)
        receiver = self.receiver()
        reporter = Reporter(self._region, self._lane, self._journal, self._signer, self._signals, self._settings.linger)
        transport, apart = self._choice.transport, not self._choice.by_stream(self._lane)
        opening = dispatch_pb2.Open(
            region=self._region, lane=self._lane, credit=self._settings.credit, apart=apart, transport=transport
        )
        recovery = self._marks.recovery
        opening.mark.CopyFrom(self._marks.told() or dispatch_pb2.StateMark())
        opening.recovery.CopyFrom(recovery or dispatch_pb2.Recovery())
        await self._holdings.open(opening)
        await stream.send(dispatch_pb2.SubscribeRequest(open=opening))
        async with task_group() as group:
            group.create_task(self._read(stream, receiver, reporter))
            group.create_task(receiver.run(outbox.put))
            group.create_task(reporter.run(self._marked(outbox)))
            group.create_task(self._tell_news(outbox))
            group.create_task(self._holdings.run(outbox.put))
            group.create_task(_write(stream, outbox))
            group.create_task(self._until_changed(transport))
            group.create_task(self._until_recovery(recovery.id if recovery else ""))

    async def _read(self, stream: Stream, receiver: Receiver, reporter: Reporter) -> None:
        messages = stream.messages()
        expires = float("inf")
        while True:
            message = await self._next(messages, expires - self._world.steady() - EXPIRE_MARGIN)
            self._signals.heard = self._world.now()
            match message.WhichOneof("message"):
                case "delivery":
                    receiver.take(message.delivery)
                case "accepted":
                    await reporter.accepted(message.accepted)
                    self._signals.accepted = self._world.now()
                case "beat":
                    await self._beats.beat(message.beat)
                    self._marks.heard(message.beat.marks, message.beat.recovered)
                    self._holdings.asked(message.beat.ask_holdings)
                    await self._choice.told(message.beat.transport)
                case "opened":
                    log.info("stream_opened", lane=self._lane)
                    self._backoff.reset()
                    self._contact.made()
                    self._beats.heard()
                    self._marks.heard(message.opened.marks)
                    self._holdings.asked(message.opened.ask_holdings)
                    if message.opened.HasField("lifetime"):
                        # Not the time at which it ends: that is by another clock than ours.
                        expires = self._world.steady() + seconds(message.opened.lifetime)

    def _marked(self, outbox: asyncio.Queue[dispatch_pb2.SubscribeRequest]) -> Send:
        """Send reports with the mark of the state that they are of."""

        async def send(request: dispatch_pb2.SubscribeRequest) -> None:
            request.reports.mark.CopyFrom(self._marks.told() or dispatch_pb2.StateMark())
            await outbox.put(request)

        return send

    async def _until_recovery(self, carried: str) -> None:
        """End the stream when the region finds that its state went back, of which a new one tells at its opening."""
        await self._marks.begun(carried)
        raise _Expired

    async def _tell_news(self, outbox: asyncio.Queue[dispatch_pb2.SubscribeRequest]) -> None:
        """Tell what happened on other paths."""
        while True:
            await outbox.put(await self._news.next())
            self._news.told()

    async def _until_changed(self, transport: Transport.ValueType) -> None:
        """End the stream when the path changes, of which lane 0 has all: what is unacknowledged goes back."""
        while self._lane == IMMEDIATE or self._choice.transport == transport:
            await self._choice.changed()
        raise _Expired

    async def _next(
        self, messages: AsyncIterator[dispatch_pb2.SubscribeResponse], left: float
    ) -> dispatch_pb2.SubscribeResponse:
        """The next message within the `left` seconds of the stream's life."""
        silence = self._settings.silence
        try:
            async with asyncio.timeout(max(0.0, min(silence, left))):
                message = await anext(messages, None)
        except TimeoutError:
            if left <= silence:
                raise _Expired from None
            raise Unavailable(f"The stream was silent for {silence:g} s", reason="STREAM_SILENT") from None
        if message is None:
            raise Unavailable("The gateway ended the stream", reason="STREAM_ENDED")
        return message


async def _write(stream: Stream, outbox: asyncio.Queue[dispatch_pb2.SubscribeRequest]) -> None:
    """The only writer of the stream."""
    while True:
        await stream.send(await outbox.get())


def _first(group: BaseExceptionGroup[OrbitalError]) -> OrbitalError:
    """One error to name; the others followed from it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        return error
    return OrbitalError("unknown")
