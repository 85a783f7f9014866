"""report: outcomes go up the lane's stream in batches; what the gateway accepted is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from orbital.v1 import dispatch_pb2, task_pb2
from orbital.v1.signed_pb2 import Signed

from region.flow.signals import LaneWakeups
from region.ports.gateway import Gateway, packed_reports
from region.ports.journal import Journal
from region.ports.signing import Signs
from runtime.errors import Invalid
from runtime.logs import get_logger
from runtime.signatures import REPORTS

log = get_logger(__name__)

IMMEDIATE = 0
# The contract's limit of a batch.
BATCH = 500
# A batch is kept below what a stream takes at once.
MOST_BYTES = 4 * 2**20
LONGEST_REASON = 500
# Batches that may be under way without an answer.
WINDOW = 8
# Looked for even without a signal, should one be lost.
LOOK = 5.0


@dataclass(frozen=True, slots=True)
class Linger:
    """Seconds that reports wait for company: always, and at most while others are being executed."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch under way: the numbers of its first and last report in the journal."""

    first: int
    last: int


class Reporter:
    """The reports of one lane during one stream; a new stream starts again from what was not accepted."""

    def __init__(
        self, region: str, lane: int, journal: Journal, signer: Signs, signals: LaneWakeups, linger: Linger
    ) -> None:
        self._region = region
        self._lane = lane
        self._signer = signer
        self._journal = journal
        self._signals = signals
        self._linger = linger
        self._sent: dict[int, Sent] = {}
        self._window = asyncio.Semaphore(WINDOW)

    def afresh(self) -> Reporter:
        """The same for a new stream, of which nothing is under way."""
        return Reporter(self._region, self._lane, self._journal, self._signer, self._signals, self._linger)

    async def apart(self, gateway: Gateway) -> None:
        """Report all that is waiting by calls of their own, for when the lane's stream is down."""
        while await report_apart(self._region, self._lane, self._journal, self._signer, gateway):
            pass

    async def run(self, send: Callable[[dispatch_pb2.SubscribeRequest], Awaitable[None]]) -> None:
        """Send whatever is to be reported, for as long as the stream lives."""
        cursor, batch_id = 0, 0
        while True:
            await self._window.acquire()
            found = await self._journal.unsent(self._lane, cursor, BATCH)
            reports = await sendable(self._lane, self._journal, found)
            if reports:
                batch_id += 1
                cursor = reports[-1][0]
                self._sent[batch_id] = Sent(reports[0][0], cursor)
                signed = await signed_reports(self._region, self._lane, self._journal, reports, self._signer)
                batch = dispatch_pb2.ReportBatch(batch_id=batch_id, signed=signed)
                await send(dispatch_pb2.SubscribeRequest(reports=batch))
            else:
                self._window.release()
            if len(found) < BATCH and len(reports) == len(found):
                await self._gather()

    async def _gather(self) -> None:
        """Wait for a report, and then for those that come with it; lane 0 never waits for company."""
        if not await self._signals.reports.wait(LOOK) or self._lane == IMMEDIATE:
            return
        await asyncio.sleep(self._linger.least)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._linger.most - self._linger.least)):
                await self._signals.rest.wait()

    async def accepted(self, answer: dispatch_pb2.ReportsAccepted) -> None:
        """The batch is durable at the gateway; refused reports are logged and not sent again."""
        sent = self._sent.pop(answer.batch_id, None)
        if sent is None:
            return
        log_refused(self._lane, answer.refused)
        await self._journal.accepted(self._lane, sent.first, sent.last)
        self._window.release()


async def report_apart(region: str, lane: int, journal: Journal, signer: Signs, gateway: Gateway) -> int:
    """Report what is waiting by a call of its own, for when the lane's stream is down; gives how many."""
    reports = await sendable(lane, journal, await journal.unsent(lane, 0, BATCH))
    if reports:
        await _call(region, lane, journal, signer, gateway, reports)
    return len(reports)


async def _call(
    region: str, lane: int, journal: Journal, signer: Signs, gateway: Gateway, reports: Sequence[tuple[int, bytes]]
) -> None:
    """Send them; one that the gateway cannot take is set aside, and all the others are sent."""
    signed = await signed_reports(region, lane, journal, reports, signer)
    try:
        refused = await gateway.report(lane, signed)
    except Invalid as error:
        # Of the call itself it is an error like any other.
        if not error.field.startswith("reports["):
            raise
        if len(reports) == 1:
            await journal.set_aside([reports[0][0]], f"{error.reason}: {error.message}"[:LONGEST_REASON], time.time())
            return
        middle = len(reports) // 2
        await _call(region, lane, journal, signer, gateway, reports[:middle])
        await _call(region, lane, journal, signer, gateway, reports[middle:])
        return
    log_refused(lane, refused)
    await journal.accepted(lane, reports[0][0], reports[-1][0])


async def sendable(lane: int, journal: Journal, reports: Sequence[tuple[int, bytes]]) -> Sequence[tuple[int, bytes]]:
    """The first of them that one message takes; what cannot be read is set aside."""
    size = 0
    taken: list[tuple[int, bytes]] = []
    broken: list[int] = []
    for number, body in reports:
        size += len(body)
        if taken and size > MOST_BYTES:
            break
        try:
            task_pb2.Report.FromString(body)
        except DecodeError:
            broken.append(number)
        else:
            taken.append((number, body))
    if broken:
        log.error("reports_unreadable", lane=lane, count=len(broken))
        await journal.set_aside(broken, "UNREADABLE", time.time())
    return taken


async def signed_reports(
    region: str, lane: int, journal: Journal, reports: Sequence[tuple[int, bytes]], signer: Signs
) -> Signed:
    """The journal's reports in one message with the region's signature; several about one task are one."""
    packed = packed_reports([report for _, report in reports])
    if lane == IMMEDIATE:
        arrivals = await journal.arrivals([report.task_id for report in packed])
        for report in packed:
            report.arrivals.extend(arrivals.get(report.task_id, ()))
    return signer.sign(REPORTS, task_pb2.Reports(region=region, reports=packed).SerializeToString())


def log_refused(lane: int, refused: Iterable[dispatch_pb2.RefusedReport]) -> None:
    """Say which reports the gateway's policy refused."""
    for report in refused:
        log.warning("report_refused", lane=lane, task_id=report.task_id, reason=report.reason, message=report.message)
