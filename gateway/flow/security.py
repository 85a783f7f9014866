"""Refuses what is not signed by whom it should be, and raises a security event for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError
from orbital.v1.dispatch_pb2 import RefusedReport
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import Report, Reports

from gateway.flow.report import ReportFlow
from gateway.flow.signal import SignalFlow, read_signal
from gateway.ports.security import SecurityEvent, SecurityStore, Verifies
from gateway.ports.serving import MAX_REPORTS
from gateway.ports.store import TaskStore
from runtime.errors import Denied, Invalid
from runtime.fields import check_length
from runtime.logs import get_logger
from runtime.printable import printable
from runtime.signatures import FLAGS, REPORTS, SECURITY, WRONG_REGION, region_identity

log = get_logger(__name__)

# Of a message that was refused, this much is kept.
MOST_KEPT = 65_536


class Security:
    """Keeps what was refused as a dead letter and as an event."""

    def __init__(self, events: SecurityStore, tasks: TaskStore) -> None:
        self._events = events
        self._tasks = tasks

    async def refuse(self, event: SecurityEvent, lane: int, payload: bytes) -> None:
        """Keep the message, and raise an event if its reason is one of security."""
        log.warning("dead letter", region=event.region, lane=lane, subject=event.subject, reason=event.reason)
        await self._tasks.keep_dead_letter(event.region, lane, f"{event.reason}: {event.message}", payload[:MOST_KEPT])
        if event.reason in SECURITY:
            await self.alarm(event)

    async def alarm(self, event: SecurityEvent) -> None:
        """Raise an event of which there is no message to keep."""
        log.error(
            "security event",
            region=event.region,
            subject=event.subject,
            reason=event.reason,
            message=event.message,
            principal=event.principal,
        )
        await self._events.keep_event(event)


class SignedReports:
    """Takes reports only from the region that signed them."""

    def __init__(self, reports: ReportFlow, keys: Verifies, security: Security) -> None:
        self._reports = reports
        self._keys = keys
        self._security = security

    async def submit(self, principal: str, region: str, signed: Signed, lane: int) -> list[RefusedReport]:
        """Return once the reports are durable; raises Denied when they are not signed by the region."""
        try:
            content = await self._keys.verify(signed, REPORTS, region_identity(region))
            reports = _read(content, region)
        except Denied as error:
            event = SecurityEvent(region, "reports", error.reason, error.message, principal)
            await self._security.refuse(event, lane, signed.content)
            raise
        answer = await self._reports.submit(principal, region, reports)
        if answer.unfit:
            # One event for the batch: what is told of each report goes back to the region.
            _, first = answer.unfit[0]
            await self._security.alarm(SecurityEvent(region, "reports", first.reason, first.message, principal))
        unfit = [
            RefusedReport(
                task_id=printable(report.task_id, 64), reason=error.reason, message=printable(error.message, 500)
            )
            for report, error in answer.unfit
        ]
        return [*answer.refused, *unfit]


class SignedSignals:
    """Takes flags only from the region that signed them. See gateway.ports.flags.FlagIntake."""

    def __init__(self, signals: SignalFlow, keys: Verifies, security: Security) -> None:
        self._signals = signals
        self._keys = keys
        self._security = security

    async def submit(self, principal: str, region: str, signed: Signed, certificate_end: float | None) -> None:
        """See the port."""
        try:
            content = await self._keys.verify(signed, FLAGS, region_identity(region))
            await self._signals.submit(replace(read_signal(content, region), certificate_end=certificate_end))
        except (Denied, Invalid) as error:
            await self._security.alarm(SecurityEvent(region, "flags", error.reason, error.message, principal))
            raise


def _read(content: bytes, region: str) -> Sequence[Report]:
    try:
        reports = Reports.FromString(content)
    except DecodeError as error:
        raise Invalid("What is signed are no Reports", reason="MALFORMED", field="signed.content") from error
    if reports.region != region:
        raise Denied(f"The reports are of region {reports.region[:64]!r}, and this is {region}", reason=WRONG_REGION)
    check_length(len(reports.reports), 1, MAX_REPORTS, "reports", "items")
    return reports.reports
