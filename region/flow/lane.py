"""One lane's stream: opened, watched for silence, opened again; its receiver and its reporter live on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orbital.v1 import dispatch_pb2
from orbital.v1.resource_pb2 import Transport

from region.flow.control_plane import ControlPlane
from region.flow.lane_traffic import LaneTraffic
from region.flow.transport import IMMEDIATE
from region.ports.gateway import Gateway, Stream
from region.ports.host import Host
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
    """`credit`: messages without an answer; `silence`: seconds without one after which a stream counts as dead."""

    credit: int
    silence: float


class _Expired(Exception):
    """The stream reached the age at which it is authorised anew."""


class Lane:
    """Keeps the stream of one lane of the region open."""

    def __init__(
        self,
        *,
        region: str,
        gateway: Gateway,
        traffic: LaneTraffic,
        control: ControlPlane,
        settings: LaneSettings,
        host: Host,
    ) -> None:
        self._region = region
        self._lane = traffic.lane
        self._gateway = gateway
        self._traffic = traffic
        self._control = control
        self._settings = settings
        self._host = host
        self._backoff = Backoff(host.random, most=RECONNECT_MOST)

    async def run(self) -> None:
        """Open the stream again whenever it ends, at once after its age, with a growing wait after a failure."""
        while True:
            began = self._host.steady()
            if not await self._once() or self._host.steady() - began < EXPIRE_MARGIN:
                await self._control.contact.sleep(self._backoff.next())
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
        finally:
            self._traffic.closed()
        return lost is None

    async def _report_apart(self) -> None:
        try:
            await self._traffic.report_apart(self._gateway)
        except OrbitalError:
            # The same path is down; the stream will carry them.
            return

    async def _live(self, stream: Stream) -> None:
        outbox: asyncio.Queue[dispatch_pb2.SubscribeRequest] = asyncio.Queue(maxsize=64)
        opening = dispatch_pb2.Open(region=self._region, lane=self._lane, credit=self._settings.credit)
        self._control.introduce(opening)
        await self._traffic.open(opening)
        await stream.send(dispatch_pb2.SubscribeRequest(open=opening))
        async with task_group() as group:
            group.create_task(self._read(stream))
            for part in self._traffic.parts(outbox.put):
                group.create_task(part)
            group.create_task(_write(stream, outbox))
            group.create_task(self._until_changed(opening.transport))
            group.create_task(self._until_recovery(opening.recovery.id))

    async def _read(self, stream: Stream) -> None:
        messages = stream.messages()
        expires = float("inf")
        while True:
            message = await self._next(messages, expires - self._host.steady() - EXPIRE_MARGIN)
            await self._traffic.take(message)
            match message.WhichOneof("message"):
                case "beat":
                    await self._control.beat(message.beat)
                case "opened":
                    log.info("stream_opened", lane=self._lane)
                    self._backoff.reset()
                    self._control.opened(message.opened)
                    if message.opened.HasField("lifetime"):
                        # Not the time at which it ends: that is by another clock than ours.
                        expires = self._host.steady() + seconds(message.opened.lifetime)

    async def _until_recovery(self, carried: str) -> None:
        """End the stream when the region finds that its state went back, of which a new one tells at its opening."""
        await self._control.marks.begun(carried)
        raise _Expired

    async def _until_changed(self, transport: Transport.ValueType) -> None:
        """End the stream when the path changes, of which lane 0 has all: what is unacknowledged goes back."""
        while self._lane == IMMEDIATE or self._control.choice.transport == transport:
            await self._control.choice.changed()
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
