"""What a lane is told of its reports that wait: its own reason, and only while they do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from orbital.v1.dispatch_pb2 import Open, ReportBatch

from gateway.flow.state import States
from gateway.flow.stream_intake import StreamIntake
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from tests.unit.gateway.fakes import FakeState

AWAY, WELL = Open(region="eu10", lane=1), Open(region="us20", lane=1)


class Reports:
    """Those of one region cannot be kept while `away` says why."""

    away = "STORE_UNAVAILABLE"

    async def submit(self, principal: str, region: str, signed: object, lane: int) -> list[Any]:
        if region == AWAY.region and self.away:
            raise Unavailable("It is away.", reason=self.away)
        return []


def made(reports: Reports) -> StreamIntake:
    missing: Any = None
    return StreamIntake(
        reports=reports, security=missing, states=States(FakeState()), holdings=missing,
        backoff=lambda: Backoff(lambda: 0, 0.001, 0.001),
    )  # fmt: skip


@pytest.mark.parametrize("left", [False, True], ids=["kept", "left"])
async def test_what_one_lane_waits_for_is_told_to_no_other_and_only_while_it_waits(left: bool) -> None:
    reports = Reports()
    intake = made(reports)
    waiting = asyncio.create_task(intake.submit("p", AWAY, ReportBatch()))
    while not intake.awaits(AWAY):  # noqa: ASYNC110 - fakes do not tell
        await asyncio.sleep(0)
    await intake.submit("p", WELL, ReportBatch())
    other_lane = Open(region=AWAY.region, lane=2)
    assert [intake.awaits(lane) for lane in (AWAY, WELL, other_lane)] == ["STORE_UNAVAILABLE", "", ""]
    if left:
        waiting.cancel()
    reports.away = ""
    await asyncio.gather(waiting, return_exceptions=True)
    assert intake.awaits(AWAY) == ""
