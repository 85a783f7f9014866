"""The lane stream: messages go from a queue to a region unparsed; acknowledgements and reports come back.

A message leaves the broker only after the region said that it is in its journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import (
    Beat,
    Open,
    ReportBatch,
    ReportsAccepted,
    SubscribeRequest,
    SubscribeResponse,
)
from orbital.v1.resource_pb2 import Transport

from gateway.flow.direct import OpenStreams
from gateway.flow.holdings import Holdings
from gateway.flow.security import Security
from gateway.flow.state import States
from gateway.flow.stream import LaneStream
from gateway.ports.faults import FaultStore
from gateway.ports.lanes import Consumer, Lanes, Trouble
from gateway.ports.security import SecurityEvent
from gateway.ports.serving import ReportIntake
from gateway.ports.store import TaskStore
from runtime.errors import Denied, Invalid, Unavailable
from runtime.fields import check_length
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)

MAX_CREDIT = 256  # messages that a region may have without an answer
IMMEDIATE = 0


@dataclass(frozen=True, slots=True)
class LaneTiming:
    """Seconds: between beats, of a stream's life, and before silent placements are driven again."""

    beat: float
    stream: float
    grace: float


class Contacts:
    """Which lanes of which regions have an open stream in this process."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._open: dict[tuple[str, int], int] = {}
        self._used: dict[tuple[str, int], Transport.ValueType] = {}
        self._transports: Mapping[str, Transport.ValueType] = {}

    def transport(self, region: str) -> Transport.ValueType:
        """The path that is declared for the region's tasks; unspecified when it is not known."""
        return self._transports.get(region, Transport.TRANSPORT_UNSPECIFIED)

    @asynccontextmanager
    async def opened(self, region: str, lane: int, used: Transport.ValueType) -> AsyncIterator[None]:
        """Count a stream as open inside the block; the end of a lane's last stream is recorded at once."""
        key = (region, lane)
        await self._store.contacted([(region, lane, used)])
        self._used[key] = used
        self._open[key] = self._open.get(key, 0) + 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
                await asyncio.shield(self._lost(region, lane))

    async def _lost(self, region: str, lane: int) -> None:
        try:
            await self._store.lost(region, lane)
        except Unavailable as error:
            # Nobody records the contact any more, so that its age tells.
            log.warning("lost contact not recorded", region=region, lane=lane, reason=error.reason)

    async def run(self, seconds: float) -> None:
        """Record the contact of all of them, in one statement every `seconds`, until cancelled."""
        while True:
            if self._open:
                try:
                    await self._store.contacted([(*key, self._used[key]) for key in sorted(self._open)])
                    self._transports = await self._store.transports(sorted({region for region, _ in self._open}))
                except Unavailable as error:
                    log.warning("contact not recorded", reason=error.reason)
            await asyncio.sleep(seconds)


class Deliver:
    """Serves lane streams."""

    def __init__(
        self,
        lanes: Lanes,
        store: TaskStore,
        reports: ReportIntake,
        security: Security,
        contacts: Contacts,
        timing: LaneTiming,
        served: frozenset[int],
        clock: Callable[[], datetime],
        backoff: Callable[[], Backoff],
        audit_head: Callable[[], SignedAuditHead | None],
        ended: Callable[[str], Awaitable[None]],
        faults: FaultStore,
        streams: OpenStreams,
        states: States,
        holdings: Holdings,
    ) -> None:
        self._faults = faults
        self.streams = streams
        self._lanes = lanes
        self._store = store
        self._reports = reports
        self._security = security
        self._contacts = contacts
        self._timing = timing
        self._served = served
        self._clock = clock
        self._backoff = backoff
        self._audit_head = audit_head
        self.states = states
        self.holdings = holdings
        # Raises Denied once the region is revoked.
        self.ended = ended

    async def serve(
        self,
        principal: str,
        region: str,
        requests: AsyncIterator[SubscribeRequest],
        send: Callable[[SubscribeResponse], Awaitable[None]],
    ) -> None:
        """Serve one stream until it is too old or an end of it is lost; `region` is what the sidecar authorised."""
        opening = await _open(requests, region, self._served)
        await self._store.give_grace(region, opening.lane, self._timing.grace)
        try:
            async with (
                self._contacts.opened(region, opening.lane, opening.transport),
                asyncio.timeout(self._timing.stream) as age,
            ):
                await LaneStream(self, principal, opening, requests, send).run()
        except TimeoutError:
            if not age.expired():
                raise

    def consumer(self, opening: Open) -> AbstractAsyncContextManager[Consumer]:
        """A reader of the lane's queue, or of nothing where the region reads it itself."""
        if opening.apart:
            return self._lanes.ready(opening.region, opening.lane)
        return self._lanes.consume(opening.region, opening.lane, opening.credit)

    def backoff(self) -> Backoff:
        """Waits between tries."""
        return self._backoff()

    async def restore(self, opening: Open) -> None:
        """Have the lane's queues again, and what was in them driven again."""
        try:
            await self._lanes.restore(opening.region, opening.lane)
        except Unavailable as error:
            log.warning("queue not restored", region=opening.region, lane=opening.lane, reason=error.reason)
        await self.rehydrate(opening)

    async def faulty(self, opening: Open, trouble: Trouble) -> None:
        """Keep what is wrong with the lane's queue."""
        try:
            await self._faults.keep({opening.region: trouble}, opening.lane)
        except Unavailable as error:
            log.warning("fault not kept", region=opening.region, lane=opening.lane, reason=error.reason)

    def transport(self, region: str) -> Transport.ValueType:
        """The path that is declared for the region's tasks; unspecified when it is not known."""
        return self._contacts.transport(region)

    @property
    def timing(self) -> LaneTiming:
        """The times of a stream."""
        return self._timing

    def expire_time(self) -> datetime:
        """When a stream that opens now has to be opened again."""
        return self._clock() + timedelta(seconds=self._timing.stream)

    def beat(self) -> Beat:
        """A proof of life."""
        beat = Beat(audit_head=self._audit_head())
        beat.sent_at.FromDatetime(self._clock())
        return beat

    async def keep_dead_letter(self, opening: Open, reason: str, body: bytes) -> None:
        """Keep a message that the region refused; the reason is a word, a colon and a sentence."""
        word, _, sentence = reason.partition(": ")
        event = SecurityEvent(opening.region, "tasks", word, sentence, region_identity(opening.region))
        await self._security.refuse(event, opening.lane, body)

    async def take_back(self, opening: Open) -> None:
        """See that nothing of the lane goes to an MQTT session, once the region has read what is in it.

        A region that could not give its session back would never see what goes there.
        """
        backoff = self._backoff()
        while (unread := await self._lanes.withdraw(opening.region, opening.lane)) is None:  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(backoff.next())
        if unread:
            log.warning("session given up", region=opening.region, lane=opening.lane, unread=unread)
            await self.rehydrate(opening)

    async def rehydrate(self, opening: Open) -> None:
        """The region's lane lost what the broker had for it."""
        await self._store.rehydrate(opening.region, opening.lane)

    async def submit(self, principal: str, opening: Open, batch: ReportBatch) -> ReportsAccepted:
        """Make a batch durable, however long the store or the policy engine are away."""
        backoff = self._backoff()
        while True:
            try:
                refused = await self._reports.submit(principal, opening.region, batch.signed, opening.lane)
            except Unavailable as error:
                log.warning("reports wait", region=opening.region, reason=error.reason)
                await asyncio.sleep(backoff.next())
            else:
                return ReportsAccepted(batch_id=batch.batch_id, refused=refused)


async def _open(requests: AsyncIterator[SubscribeRequest], region: str, served: frozenset[int]) -> Open:
    async with asyncio.timeout(10):
        first = await anext(requests, None)
    if first is None or first.WhichOneof("message") != "open":
        raise Invalid("The first message of a lane stream is Open", field="open")
    opening = first.open
    if opening.region != region:
        raise Denied(
            f"The caller is region {region!r} and cannot open a lane of {opening.region!r}", reason="OTHER_REGION"
        )
    if opening.lane not in served:
        raise Invalid(f"open.lane is {opening.lane}; this process serves {sorted(served)}", field="open.lane")
    check_length(opening.credit, 1, MAX_CREDIT, "open.credit", "messages")
    return opening
