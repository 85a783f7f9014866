"""Reports: batches, the window, what is accepted, and what comes again on a new stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from orbital.v1 import dispatch_pb2
from orbital.v1 import task_pb2 as pb

from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.domain import result
from region.domain.work import Entry
from region.flow.outcome import Decided, settled
from region.flow.report import BATCH, WINDOW, Linger, Reporter
from region.flow.signals import LaneWakeups
from region.ports.gateway import packed_reports
from tests.unit.region.make import Estate
from tests.unit.runtime.keys import Keys


def test_a_batch_says_one_thing_about_a_task() -> None:
    said = [("a", pb.OUTCOME_WAITING), ("b", pb.OUTCOME_DONE), ("a", pb.OUTCOME_DONE)]
    packed = packed_reports([pb.Report(task_id=each, outcome=outcome).SerializeToString() for each, outcome in said])
    assert [(each.task_id, each.outcome) for each in packed] == [("b", pb.OUTCOME_DONE), ("a", pb.OUTCOME_DONE)]


async def test_reports_go_in_batches_within_a_window_and_come_again_until_accepted(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db") as journal:
        tasks = [Estate(f"t{number}").define_tenant() for number in range(BATCH * (WINDOW + 2))]
        await journal.receive(1, tasks, 1.0)
        entries: list[Entry] = await journal.due(1, 2.0, len(tasks))
        outcomes = [settled(each, result.done(1), Decided("d", 1.0), 2.0, 0.0) for each in entries]
        await journal.settle(1, outcomes, 2.0)
        sent: list[dispatch_pb2.ReportBatch] = []
        signer = Keys.make(tmp_path).region

        async def send(message: dispatch_pb2.SubscribeRequest) -> None:
            sent.append(message.reports)

        async def stream(accept: int) -> None:
            """One stream's life, in which the gateway accepts so many batches."""
            sent.clear()
            reporter = Reporter("eu10", 1, journal, signer, LaneWakeups(), Linger(0.0, 0.0))
            running = asyncio.ensure_future(reporter.run(send))
            async with asyncio.timeout(10):
                for batch_id in range(1, accept + 1):
                    while len(sent) < batch_id:  # noqa: ASYNC110
                        await asyncio.sleep(0)
                    await reporter.accepted(dispatch_pb2.ReportsAccepted(batch_id=batch_id))
                while len(sent) < min(WINDOW + accept, WINDOW + 2 - accept):  # noqa: ASYNC110
                    await asyncio.sleep(0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        await stream(0)
        assert [len(pb.Reports.FromString(each.signed.content).reports) for each in sent] == [BATCH] * WINDOW
        await stream(2)
        left = await journal.unsent(1, 0, len(tasks))
        assert len(left) == BATCH * WINDOW
        assert pb.Report.FromString(left[0][1]).task_id == tasks[2 * BATCH].id


class Reported:
    """A reporter at work, and what it sends; `settle` gives it one report more."""

    def __init__(self, lane: int, journal: SqliteJournal) -> None:
        self.sent: list[int] = []
        self.signals = LaneWakeups()
        self._lane = lane
        self._journal = journal

    async def send(self, message: dispatch_pb2.SubscribeRequest) -> None:
        self.sent.append(len(pb.Reports.FromString(message.reports.signed.content).reports))

    async def settle(self, tenant: str) -> None:
        await self._journal.receive(self._lane, [Estate(tenant).define_tenant()], 1.0)
        entries = await self._journal.due(self._lane, 2.0, 10)
        await self._journal.settle(
            self._lane, [settled(each, result.done(1), Decided("d", 1.0), 2.0, 0.0) for each in entries], 2.0
        )
        self.signals.reports.give()
        # Whoever could send it now would have.
        await asyncio.sleep(0.05)


@asynccontextmanager
async def reporting(lane: int, place: Path) -> AsyncIterator[Reported]:
    async with open_journal(place / "journal.db") as journal:
        reported = Reported(lane, journal)
        signer = Keys.make(place).region
        reporter = Reporter("eu10", lane, journal, signer, reported.signals, Linger(0.0, 60.0))
        running = asyncio.ensure_future(reporter.run(reported.send))
        try:
            yield reported
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(("lane", "alone"), [(0, [1, 1]), (1, [])])
async def test_reports_wait_for_what_is_executed_beside_them_except_on_lane_0(
    tmp_path: Path, lane: int, alone: list[int]
) -> None:
    async with reporting(lane, tmp_path) as reported, asyncio.timeout(10):
        await reported.settle("a")
        await reported.settle("b")
        assert reported.sent == alone
        reported.signals.rest.set()
        while sum(reported.sent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert reported.sent == (alone or [2])


async def test_a_report_alone_is_sent_at_once(tmp_path: Path) -> None:
    async with reporting(1, tmp_path) as reported, asyncio.timeout(10):
        reported.signals.rest.set()
        await reported.settle("a")
        await reported.settle("b")
        assert reported.sent == [1, 1]
