"""Stage 6, report: outcomes from regions, authorised and made durable in batches, whatever way they came."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from orbital.v1.dispatch_pb2 import RefusedReport
from orbital.v1.resource_pb2 import Transport
from orbital.v1.task_pb2 import Outcome, Report

from gateway.domain.proof import check_receipt
from gateway.domain.report import REDRIVE, Regional, last_by_placement, last_by_task
from gateway.domain.task import KIND_WORDS
from gateway.ports.policy import Policy
from gateway.ports.store import Denial, ReportStore, TaskStore
from runtime.errors import Invalid, OrbitalError
from runtime.fields import check_length
from runtime.policy import Refusal

MAX_RECEIPT = 2 * 1024 * 1024
_TASK_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class _Submitted:
    reports: Sequence[Regional]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ReportFlow:
    """Collects reports from every stream and call of this process, and stores them in a statement for all."""

    def __init__(self, store: ReportStore, tasks: TaskStore, policy: Policy, process: str, most: int) -> None:
        self._store = store
        self._tasks = tasks
        self._policy = policy
        self._process = process
        self._most = most
        self._pending: list[_Submitted] = []
        self._wake = asyncio.Event()

    async def submit(self, principal: str, region: str, reports: Sequence[Report]) -> list[RefusedReport]:
        """Return once the reports are durable, with those that policy refused; raises Invalid on a malformed one."""
        for index, report in enumerate(reports):
            check_report(report, f"reports[{index}]")
            check_receipt(region, report, f"reports[{index}]")
        question = {
            "principal": principal,
            "region": region,
            "correlations": sorted({report.correlation_id for report in reports}),
            "reports": [_question(report) for report in reports],
        }
        decisions = await self._policy.decide("report", question, [report.task_id for report in reports])
        allowed = [Regional(region, report) for report in reports if decisions.allows(report.task_id)]
        refused = [report for report in reports if not decisions.allows(report.task_id)]
        if refused:
            await self._tasks.keep_denials(
                [
                    Denial(
                        decisions.decision_id,
                        "report",
                        principal,
                        f"report {KIND_WORDS[report.kind]} {report.resource} in {region}",
                        decisions.refused[report.task_id],
                        report.correlation_id,
                        self._process,
                    )
                    for report in refused
                ]
            )
        if allowed:
            submitted = _Submitted(allowed)
            self._pending.append(submitted)
            self._wake.set()
            await submitted.done
        return [
            RefusedReport(
                task_id=report.task_id,
                reason=decisions.refused[report.task_id].reason,
                message=decisions.refused[report.task_id].message,
            )
            for report in refused
        ]

    async def run(self) -> None:
        """Store what was submitted, until cancelled; a store that is away makes the submitters try again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._store_some()

    async def _store_some(self) -> None:
        taken: list[_Submitted] = []
        size = 0
        while self._pending and size < self._most:
            taken.append(self._pending.pop(0))
            size += len(taken[-1].reports)
        reports = [item for submitted in taken for item in submitted.reports]
        denied = [item for item in reports if item.report.outcome == Outcome.OUTCOME_DENIED]
        try:
            await self._store.observe(last_by_task(reports), last_by_placement(reports))
            if denied:
                await self._tasks.keep_denials([_regional_denial(item) for item in denied])
        except OrbitalError as error:
            for submitted in taken:
                if not submitted.done.done():
                    submitted.done.set_exception(error)
            return
        for submitted in taken:
            if not submitted.done.done():
                submitted.done.set_result(None)


def _regional_denial(item: Regional) -> Denial:
    report = item.report
    return Denial(
        report.decision_id,
        "execute",
        f"spiffe://orbital/region/{item.region}",
        f"{KIND_WORDS[report.kind]} {report.resource} in {item.region}",
        Refusal(report.reason, report.message),
        report.correlation_id,
        f"region-{item.region}",
    )


def _question(report: Report) -> dict[str, object]:
    return {
        "id": report.task_id,
        "kind": KIND_WORDS.get(report.kind, str(report.kind)),
        "tenant": report.tenant,
        "resource": report.resource,
        "generation": report.generation,
        "outcome": Outcome.Name(report.outcome).removeprefix("OUTCOME_"),
    }


def check_report(report: Report, where: str) -> None:
    """Raise Invalid naming the field of a report that cannot be stored."""
    if not _TASK_ID.fullmatch(report.task_id):
        raise Invalid(f"{where}.task_id is not 32 hex digits", field=f"{where}.task_id")
    if report.outcome not in REDRIVE:
        raise Invalid(f"{where}.outcome is {report.outcome}; expected 1 to 5", field=f"{where}.outcome")
    if report.kind not in KIND_WORDS or not report.kind:
        raise Invalid(f"{where}.kind is {report.kind}, which is no task kind", field=f"{where}.kind")
    check_length(len(report.reason), 0, 100, f"{where}.reason")
    check_length(len(report.message), 0, 2000, f"{where}.message")
    check_length(len(report.receipt), 0, MAX_RECEIPT, f"{where}.receipt", "bytes")
    check_length(len(report.arrivals), 0, len(Transport.values()), f"{where}.arrivals", "items")
    if any(each.transport not in Transport.values() or not each.time.seconds for each in report.arrivals):
        raise Invalid(f"{where}.arrivals name no path or no time", field=f"{where}.arrivals")
