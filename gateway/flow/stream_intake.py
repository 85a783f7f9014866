"""What a region sends up a lane stream and the gateway has to keep: reports, messages that it refused, holdings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from orbital.v1.dispatch_pb2 import Holdings as Page
from orbital.v1.dispatch_pb2 import Open, RefusedReport, ReportBatch, ReportsAccepted

from gateway.flow.holdings import Holdings
from gateway.flow.security import Security
from gateway.flow.state import States
from gateway.ports.security import SecurityEvent
from gateway.ports.serving import ReportIntake
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)


class StreamIntake:
    """Keeps what comes up; `backoff` gives the waits between tries."""

    def __init__(
        self,
        *,
        reports: ReportIntake,
        security: Security,
        states: States,
        holdings: Holdings,
        backoff: Callable[[], Backoff],
    ) -> None:
        self._reports = reports
        self._security = security
        self._states = states
        self._holdings = holdings
        self._backoff = backoff
        # Of each region and lane whose reports wait, the reason.
        self._waiting: dict[tuple[str, int], str] = {}

    def awaits(self, opening: Open) -> str:
        """The reason for which reports of this lane are not kept at the moment; empty while they are."""
        return self._waiting.get((opening.region, opening.lane), "")

    async def submit(self, principal: str, opening: Open, batch: ReportBatch) -> ReportsAccepted:
        """Make a batch durable, however long the store or the policy engine are away."""
        try:
            refused = await self._submit(principal, opening, batch)
        finally:
            self._waiting.pop((opening.region, opening.lane), None)
        self._states.reported(opening.region, batch.mark)
        return ReportsAccepted(batch_id=batch.batch_id, refused=refused)

    async def _submit(self, principal: str, opening: Open, batch: ReportBatch) -> Sequence[RefusedReport]:
        backoff = self._backoff()
        while True:
            try:
                return await self._reports.submit(principal, opening.region, batch.signed, opening.lane)
            except Unavailable as error:
                log.warning("reports wait", region=opening.region, reason=error.reason)
                self._waiting[opening.region, opening.lane] = error.reason
            await asyncio.sleep(backoff.next())

    async def refused(self, opening: Open, reason: str, body: bytes) -> None:
        """Keep a message that the region refused; the reason is a word, a colon and a sentence."""
        word, _, sentence = reason.partition(": ")
        event = SecurityEvent(opening.region, "tasks", word, sentence, region_identity(opening.region))
        await self._security.refuse(event, opening.lane, body)

    async def holdings(self, principal: str, opening: Open, page: Page) -> None:
        """Adopt a page of what the region holds; raises Denied or Invalid for one that is not the region's."""
        await self._holdings.take(principal, opening, page)
