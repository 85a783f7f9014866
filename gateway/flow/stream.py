"""One lane stream. Everything that goes down passes one queue and one writer; what comes up is bounded.

The stream outlives its reader of the broker: beats, reports and what goes without the broker pass meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbital.v1.dispatch_pb2 import (
    Delivery,
    Open,
    ReportBatch,
    SubscribeRequest,
    SubscribeResponse,
)
from orbital.v1.resource_pb2 import Transport

from gateway.flow.direct import IMMEDIATE
from gateway.flow.open_lanes import OpenLane
from gateway.flow.pace import RateLimit
from gateway.ports.lanes import QUEUE_GONE, Consumer
from runtime.errors import Invalid, Unavailable
from runtime.groups import ungrouped
from runtime.lifecycle import task_group
from runtime.logs import get_logger

if TYPE_CHECKING:
    from gateway.flow.deliver import Deliver

log = get_logger(__name__)

# Waits for the region to read; a region that reads nothing for this long has lost its stream.
MOST_DOWN = 16
WRITE_SECONDS = 30.0
# Report batches that are being stored. A region has eight without an answer; one that sends on waits here.
MOST_REPORTS = 16
# Messages without the broker that the region has not acknowledged.
MOST_DIRECT = 64
# Refusals and lost sessions that are kept at once, and a second after that: each is work for the database.
REFUSALS_AT_ONCE, REFUSALS_A_SECOND = 50, 10.0
REHYDRATE_SECONDS = 2.0
LONGEST_REASON = 500  # characters of a region's refusal


@dataclass(frozen=True, slots=True)
class _Held:
    """A delivery that is not acknowledged: from the broker by `consumer` as `tag`, or without it, for `done`."""

    body: bytes
    consumer: Consumer | None = None
    tag: int = 0
    done: asyncio.Future[bool] | None = None


class LaneStream:
    """Serves one open stream until an end of it is lost."""

    def __init__(
        self,
        deliver: Deliver,
        principal: str,
        opening: Open,
        requests: AsyncIterator[SubscribeRequest],
        send: Callable[[SubscribeResponse], Awaitable[None]],
    ) -> None:
        self._deliver = deliver
        self._principal = principal
        self._opening = opening
        self._requests = requests
        self._send = send
        self._down: asyncio.Queue[SubscribeResponse] = asyncio.Queue(MOST_DOWN)
        self._consumer: Consumer | None = None
        # Deliveries are numbered as they are sent: a region acknowledges all up to one.
        self._numbering = asyncio.Lock()
        self._newest = 0
        self._held: dict[int, _Held] = {}
        self._reporting = asyncio.Semaphore(MOST_REPORTS)
        # Until it is served, a lane of its own.
        self._lane = OpenLane(time.monotonic)
        clock = asyncio.get_running_loop().time
        self._refusals = RateLimit(REFUSALS_AT_ONCE, REFUSALS_A_SECOND, clock)
        self._rehydrations = RateLimit(1, 1 / REHYDRATE_SECONDS, clock)

    async def run(self) -> None:
        """Serve; raises what ended it."""
        opened = await self._deliver.announcements.opened(self._opening)
        await self._down.put(SubscribeResponse(opened=opened))
        try:
            with self._deliver.sources.open_lanes.entered(self._opening) as self._lane, ungrouped():
                async with task_group() as group:
                    parts = [group.create_task(part) for part in self._parts()]
                    with self._deliver.announcements.current(self._opening):
                        await self._serve(group)
                    for part in parts:
                        part.cancel()
        finally:
            self._lane.counter.drop(len(self._held))
            for held in self._held.values():
                _settle(held, acknowledged=False)

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        if self._opening.lane != IMMEDIATE:
            await self._listen(group)
            return
        with self._deliver.sources.offered(self._opening, self.offer):
            await self._listen(group)

    def _parts(self) -> Sequence[Coroutine[None, None, None]]:
        parts = [self._write(), self._read(), self._beat(), self._ended(), self._lane.until_restart()]
        if self._opening.lane != IMMEDIATE and self._opening.transport != Transport.TRANSPORT_MQTT:
            parts.append(self._deliver.sources.take_back(self._opening))
        return parts

    async def _ended(self) -> None:
        await self._deliver.ended(self._opening.region)

    async def _write(self) -> None:
        while True:
            response = await self._down.get()
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._send(response)
            except TimeoutError:
                raise Unavailable("The region does not read its stream", reason="STREAM_STUCK") from None

    async def _read(self) -> None:
        """Read the lane's queue, and again whenever the broker, or only the queue, was lost."""
        sources = self._deliver.sources
        backoff = sources.backoff()
        while True:
            try:
                async with sources.consumer(self._opening) as self._consumer:
                    backoff.reset()
                    if self._consumer.fault is not None:
                        await sources.faulty(self._opening, self._consumer.fault)
                    async for message in self._consumer.messages():
                        held = _Held(message.body, self._consumer, message.tag)
                        await self._put(held, redelivered=message.redelivered)
            except Unavailable as error:
                log.warning(
                    "queue_not_read",
                    region=self._opening.region,
                    lane=self._opening.lane,
                    reason=error.reason,
                    error=error.message,
                )
                if error.reason == QUEUE_GONE:
                    await self._restore()
            finally:
                self._consumer = None
            await asyncio.sleep(backoff.next())

    async def _put(self, held: _Held, *, redelivered: bool = False) -> None:
        async with self._numbering:
            self._newest += 1
            self._held[self._newest] = held
            self._lane.counter.took()
            delivery = Delivery(delivery_id=self._newest, batch=held.body, redelivered=redelivered)
            await self._down.put(SubscribeResponse(delivery=delivery))

    async def offer(self, body: bytes) -> bool:
        """Send a message without the broker; True once the region has acknowledged it."""
        if sum(held.done is not None for held in self._held.values()) >= MOST_DIRECT:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        await self._put(_Held(body, done=done))
        return await done

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._deliver.settings.beat)
            beat = self._deliver.announcements.beat(self._opening)
            beat.reports_await = self._deliver.intake.awaits(self._opening)
            await self._down.put(SubscribeResponse(beat=beat))

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        async for request in self._requests:
            what = request.WhichOneof("message")
            if what == "acknowledge":
                await self._acknowledge(request.acknowledge.delivery_id)
            elif what == "reject":
                await self._reject(request.reject.delivery_id, request.reject.reason)
            elif what == "refusal":
                await self._refusals.take()
                await self._keep(request.refusal.reason, request.refusal.body)
            elif what == "rehydrate":
                log.warning("session lost", region=self._opening.region, lane=self._opening.lane)
                await self._restore()
            elif what == "reports":
                # Beside the acknowledgements: a slow store must not keep messages from being forgotten.
                await self._reporting.acquire()
                group.create_task(self._report(request.reports))
            elif what == "holdings":
                await self._deliver.intake.holdings(self._principal, self._opening, request.holdings)
            else:
                raise Invalid(f"A lane stream takes no {what or 'empty message'} here", field="message")

    async def _keep(self, reason: str, body: bytes) -> None:
        await self._deliver.intake.refused(self._opening, reason[:LONGEST_REASON], body)

    async def _restore(self) -> None:
        """The lane's queue is gone, or the session that was read in its place."""
        await self._rehydrations.take()
        await self._deliver.sources.restore(self._opening)

    async def _acknowledge(self, delivery_id: int) -> None:
        # In the order in which they were sent.
        known = [number for number in self._held if number <= delivery_id]
        held = [self._held.pop(number) for number in known]
        self._lane.counter.done(len(held))
        tags = [each.tag for each in held if each.consumer is not None and each.consumer is self._consumer]
        for each in held:
            _settle(each, acknowledged=True)
        if tags and self._consumer is not None:
            try:
                await self._consumer.acknowledge(max(tags))
            except Unavailable as error:
                # What was lost with the broker comes again, and the region knows it.
                log.info("acknowledgement_lost", region=self._opening.region, reason=error.reason)

    async def _reject(self, delivery_id: int, reason: str) -> None:
        held = self._held.pop(delivery_id, None)
        if held is None:
            return
        self._lane.counter.done()
        await self._refusals.take()
        await self._keep(reason, held.body)
        _settle(held, acknowledged=True)
        if held.consumer is not None and held.consumer is self._consumer:
            await self._consumer.reject(held.tag)

    async def _report(self, batch: ReportBatch) -> None:
        try:
            accepted = await self._deliver.intake.submit(self._principal, self._opening, batch)
        finally:
            self._reporting.release()
        await self._down.put(SubscribeResponse(accepted=accepted))


def _settle(held: _Held, *, acknowledged: bool) -> None:
    """Tell whoever sent it without the broker."""
    if held.done is not None and not held.done.done():
        held.done.set_result(acknowledged)
