"""Stage 6, report: outcomes from regions, authorised and made durable in batches, whatever way they came."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orbital.v1.dispatch_pb2 import RefusedReport
from orbital.v1.resource_pb2 import Transport
from orbital.v1.task_pb2 import Outcome, Report

from gateway.domain.proof import check_receipt
from gateway.domain.report import LONGEST_PAUSE, REDRIVE, RegionReport, last_by_placement, last_by_task
from gateway.flow.receipts import ReceiptCheck
from gateway.ports.policy import Policy
from gateway.ports.store import Denial, ReportStore, TaskStore
from runtime.content import check_content
from runtime.errors import Invalid, OrbitalError
from runtime.fields import check_length
from runtime.group_commit import GroupCommit
from runtime.kinds import KIND_WORDS
from runtime.policy import Decisions, Refusal
from runtime.wellknown import label, seconds

MAX_RECEIPT = 2 * 1024 * 1024  # bytes; it is kept for good
# A batch is at most 500, and a stream has at most 8 under way.
WAITING_REPORTS = 200_000
_TASK_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a batch: all of it is durable but what policy refused, and what is unfit to be kept."""

    refused: Sequence[RefusedReport]
    unfit: Sequence[tuple[Report, OrbitalError]]


class ReportFlow:
    """Collects reports from every stream and call of this process, and stores them in a statement for all."""

    def __init__(
        self, store: ReportStore, tasks: TaskStore, policy: Policy, receipts: ReceiptCheck, process: str, most: int
    ) -> None:
        self._store = store
        self._receipts = receipts
        self._tasks = tasks
        self._policy = policy
        self._process = process
        self._commit = GroupCommit[RegionReport](self._keep, most=most, bound=WAITING_REPORTS)

    async def submit(self, principal: str, region: str, reports: Sequence[Report]) -> Reported:
        """Return once the reports are durable, with those that are not; raises Unavailable to try again."""
        unfit: list[tuple[Report, OrbitalError]] = [
            (report, error) for report in reports if (error := unfitness(region, report)) is not None
        ]
        fit = _without(reports, unfit)
        checked = await self._receipts.check(region, fit)
        unfit += [(report, error) for report in fit if (error := checked.get(report.task_id)) is not None]
        fit = _without(fit, unfit)
        if not fit:
            return Reported([], unfit)
        question = {
            "principal": principal,
            "region": region,
            "correlations": sorted({report.correlation_id for report in fit}),
            "reports": [_question(report) for report in fit],
        }
        decisions = await self._policy.decide("report", question, [report.task_id for report in fit])
        allowed = [
            RegionReport(region, report, verified=report.task_id in checked)
            for report in fit
            if decisions.allows(report.task_id)
        ]
        refused = [report for report in fit if not decisions.allows(report.task_id)]
        if refused:
            await self._tasks.keep_denials([self._denial(principal, region, report, decisions) for report in refused])
        failed: Mapping[int, OrbitalError] = await self._commit.submit(allowed)
        unfit += [(allowed[index].report, error) for index, error in failed.items()]
        return Reported([_told(report, decisions.refused[report.task_id]) for report in refused], unfit)

    def _denial(self, principal: str, region: str, report: Report, decisions: Decisions) -> Denial:
        return Denial(
            decisions.decision_id,
            "report",
            principal,
            f"report {KIND_WORDS[report.kind]} {report.resource} in {region}",
            decisions.refused[report.task_id],
            report.correlation_id,
            self._process,
        )

    async def run(self) -> None:
        """Store what was submitted, until cancelled; a store that is away makes the submitters try again."""
        await self._commit.run()

    async def _keep(self, reports: Sequence[RegionReport]) -> None:
        await self._store.observe(last_by_task(reports), last_by_placement(reports))
        denied = [item for item in reports if item.report.outcome == Outcome.OUTCOME_DENIED]
        if denied:
            await self._tasks.keep_denials([_regional_denial(item) for item in denied])


def _without(reports: Sequence[Report], unfit: Sequence[tuple[Report, OrbitalError]]) -> list[Report]:
    faulty = {id(report) for report, _ in unfit}
    return [report for report in reports if id(report) not in faulty]


def unfitness(region: str, report: Report) -> Invalid | None:
    """Why a report cannot be kept; None when it can."""
    try:
        check_content(report, "report")
        check_report(report, "report")
        check_receipt(region, report, "report")
    except Invalid as error:
        return error
    return None


def _told(report: Report, refusal: Refusal) -> RefusedReport:
    return RefusedReport(task_id=report.task_id, reason=refusal.reason, message=refusal.message)


def _regional_denial(item: RegionReport) -> Denial:
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
        "outcome": label(Outcome, report.outcome, "OUTCOME_"),
    }


def check_report(report: Report, where: str) -> None:
    """Raise Invalid naming the field of a report that cannot be stored."""
    if not _TASK_ID.fullmatch(report.task_id):
        raise Invalid(f"{where}.task_id is not 32 hex digits", field=f"{where}.task_id")
    if report.outcome not in REDRIVE:
        raise Invalid(f"{where}.outcome is {report.outcome}; expected 1 to {len(REDRIVE)}", field=f"{where}.outcome")
    if report.kind not in KIND_WORDS or not report.kind:
        raise Invalid(f"{where}.kind is {report.kind}, which is no task kind", field=f"{where}.kind")
    check_length(len(report.reason), 0, 100, f"{where}.reason")
    check_length(len(report.message), 0, 2000, f"{where}.message")
    check_length(len(report.receipt), 0, MAX_RECEIPT, f"{where}.receipt", "bytes")
    parked = report.outcome == Outcome.OUTCOME_PARKED
    pause = seconds(report.retry_after)
    if (parked or report.HasField("retry_after")) and not (parked and 0 < pause <= LONGEST_PAUSE):
        raise Invalid(
            f"{where}.retry_after is {pause:g} s; expected more than 0 and at most {LONGEST_PAUSE} s of a parked task, "
            "and none of any other",
            field=f"{where}.retry_after",
        )
    check_length(len(report.arrivals), 0, len(Transport.values()), f"{where}.arrivals", "items")
    if any(each.transport not in Transport.values() or not each.time.seconds for each in report.arrivals):
        raise Invalid(f"{where}.arrivals name no path or no time", field=f"{where}.arrivals")
