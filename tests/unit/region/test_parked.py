"""A task that keeps failing is parked with its reason; its lane goes on, and whoever mends or cancels it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1 import task_pb2 as pb

import runtime.errors
from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.domain import result, retry
from region.domain.names import Name
from region.domain.result import Result
from region.flow.execute import ExecuteSettings
from region.handlers.parts import Parts
from region.handlers.table import HANDLERS
from region.ports.host import real_host
from runtime.errors import Conflict, Exhausted, NotFound, OrbitalError, Stalled, Unavailable, Waiting
from tests.unit.region.fakes import fake_parts
from tests.unit.region.make import LANES, Estate
from tests.unit.region.test_execute import Bench, Policy

TRIES, PATIENCE = 3, 0.2
ERRORS = [
    found for found in vars(runtime.errors).values() if isinstance(found, type) and issubclass(found, OrbitalError)
]
PASSING = (Unavailable, Waiting, Conflict, Exhausted)
ACME, OTHER = Estate("acme"), Estate("other")


class Poison:
    """A handler that fails for one tenant until it is mended; it counts how often it runs, and how often at once."""

    def __init__(self, way: Callable[[], Awaitable[Result]], kind: pb.TaskKind.ValueType) -> None:
        self.way, self.kind = way, kind
        self.mended = False
        self.runs = self.at_once = self.most = 0

    async def __call__(self, parts: Parts, task: pb.Task, name: Name) -> Result:
        if self.mended or name.tenant != "acme":
            return await HANDLERS[self.kind](parts, task, name)
        self.runs += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return await self.way()
        finally:
            self.at_once -= 1


def raising(error: Exception) -> Callable[[], Awaitable[Result]]:
    async def way() -> Result:
        raise error

    return way


async def _slow() -> Result:
    await asyncio.sleep(60)
    raise AssertionError("it has all the time of the host")


async def _stubborn() -> Result:
    """Slow, and not to be interrupted."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.shield(asyncio.sleep(PATIENCE))
    raise AssertionError("it has all the time of the host")


async def _failed() -> Result:
    return result.failed("NO_WAY", "It cannot succeed as it is.")


# Every way in which a task can fail by itself, and the reason that it is parked with.
WAYS: Mapping[str, tuple[Callable[[], Awaitable[Result]], str]] = {
    **{
        kind.__name__: (raising(kind("not this one", reason="BROKEN")), "BROKEN")
        for kind in ERRORS
        if not issubclass(kind, PASSING)
    },
    **{reason: (raising(Unavailable("not there", reason=reason)), reason) for reason in sorted(retry._OWN)},
    "bug": (raising(ZeroDivisionError()), "INTERNAL"),
    "slow": (_slow, "TIMEOUT"),
    "stubborn": (_stubborn, "TIMEOUT"),
    "failed": (_failed, "NO_WAY"),
}


class Lanes(Bench):
    """A bench whose handlers may be poisoned, and that gives up soon."""

    def __init__(self, journal: SqliteJournal, parts: Parts, poison: Poison) -> None:
        super().__init__(journal, parts, Policy())
        handlers: dict[pb.TaskKind.ValueType, Any] = {**HANDLERS, poison.kind: poison}
        settings = ExecuteSettings(batch=256, width=16, tries=TRIES, pause=300.0)
        self.executors = self.executing(handlers, settings, PATIENCE)

    async def until(self, task: pb.Task, *outcomes: pb.Outcome.ValueType) -> pb.Report:
        """The last report of a task, once it is one of these."""

        def last(found: list[pb.Report]) -> pb.Report | None:
            mine = [one for one in found if one.task_id == task.id]
            return mine[-1] if mine and mine[-1].outcome in outcomes else None

        found = last(await self.reported(lambda reports: last(reports) is not None))
        assert found is not None
        return found


@asynccontextmanager
async def lanes(place: Path, poison: Poison) -> AsyncIterator[Lanes]:
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(place / "journal.db"))
        bench = Lanes(journal, replace(fake_parts(), host=real_host()), poison)
        running = [asyncio.ensure_future(executor.run()) for executor in bench.executors]
        yield bench
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST", 0.005)


async def fail_again(bench: Lanes, task: pb.Task) -> pb.Report:
    """What a region and its gateway do with a task that fails: it comes again whenever it was given up for the time."""
    seen = 0
    async with asyncio.timeout(15):
        while True:
            mine = [one for one in await bench.reports() if one.task_id == task.id]
            if mine and mine[-1].outcome == pb.OUTCOME_PARKED:
                return mine[-1]
            if len(mine) > seen and mine[-1].outcome == pb.OUTCOME_FAILED:
                seen = len(mine)
                await bench.receive(task)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_keeps_failing_is_parked_with_its_reason_and_its_lane_goes_on(way: str, tmp_path: Path) -> None:
    poison = Poison(WAYS[way][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link, *OTHER.foundation(), OTHER.link())
        parked = await fail_again(bench, link)
        assert (parked.reason, parked.observed_generation) == (WAYS[way][1], 0)
        assert 225 <= parked.retry_after.seconds <= 300
        for other in (*ACME.foundation(), *OTHER.foundation()[:1], OTHER.link()):
            await bench.until(other, pb.OUTCOME_DONE)
        assert (poison.runs, poison.most) == (TRIES, 1)
        # It is out of the way, and still known.
        counts = await bench.journal.counts(link.lane)
        assert (counts.pending, counts.stuck and counts.stuck.attempts) == (0, TRIES)
        # It comes again by its lane, once it was mended.
        poison.mended = True
        await bench.receive(link)
        assert (await bench.until(link, pb.OUTCOME_DONE)).observed_generation == 1


async def test_a_retry_that_fails_is_one_try(tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link)
        await fail_again(bench, link)
        before = len(await bench.reports())
        await bench.receive(link)
        await bench.reported(lambda found: len(found) > before)
        assert (await bench.until(link, pb.OUTCOME_PARKED)).reason == "BROKEN"
        assert poison.runs == TRIES + 1


async def test_a_cancelled_task_is_forgotten_and_comes_back_when_it_is_wanted_again(tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link)
        await fail_again(bench, link)
        cancelled = pb.Task.FromString(link.SerializeToString())
        cancelled.cancelled = True
        for _ in range(2):
            await bench.receive(cancelled)
            assert (await bench.until(link, pb.OUTCOME_CANCELLED)).reason == "CANCELLED"
        assert poison.runs == TRIES
        poison.mended = True
        await bench.receive(link)
        await bench.until(link, pb.OUTCOME_DONE)
        # What is done is not taken back by its cancellation.
        await bench.receive(cancelled)
        await asyncio.sleep(0.1)
        await bench.until(link, pb.OUTCOME_DONE)


async def test_a_newer_generation_supersedes_a_parked_one(tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link, newer = ACME.link(), ACME.link(2)
        await bench.receive(*ACME.foundation(), link)
        await fail_again(bench, link)
        poison.mended = True
        await bench.receive(newer)
        await bench.until(newer, pb.OUTCOME_DONE)
        assert (await bench.until(link, pb.OUTCOME_STALE)).reason == "SUPERSEDED"


@pytest.mark.parametrize("reason", ["HSM_UNREACHABLE", "OPENBAO_SEALED", "POLICY_UNAVAILABLE", "UNAVAILABLE"])
async def test_what_waits_for_a_part_is_not_parked(reason: str, tmp_path: Path) -> None:
    poison = Poison(raising(Unavailable("away", reason=reason)), pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link)
        await bench.until(link, pb.OUTCOME_WAITING)
        async with asyncio.timeout(20):
            while poison.runs < 2 * TRIES:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert {one.outcome for one in await bench.reports() if one.task_id == link.id} == {pb.OUTCOME_WAITING}


@pytest.mark.parametrize("kind", [kind for kind, lane in LANES.items() if kind and lane == 0])
async def test_nothing_of_lane_0_is_ever_parked(kind: pb.TaskKind.ValueType, tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], kind)
    task = ACME.kill(2) if kind == pb.TASK_KIND_UNLINK_KEY else ACME.emergency(2, 2)
    async with lanes(tmp_path, poison) as bench:
        await bench.receive(*ACME.foundation())
        await bench.outcomes(*ACME.foundation())
        await bench.receive(task)
        async with asyncio.timeout(20):
            while poison.runs < 2 * TRIES:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert {one.outcome for one in await bench.reports() if one.task_id == task.id} == {pb.OUTCOME_WAITING}
        poison.mended = True
        await bench.until(task, pb.OUTCOME_DONE)


async def test_a_parked_task_is_tried_again_when_its_time_comes(tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link)
        parked = await fail_again(bench, link)
        now = real_host().now()
        assert not await bench.journal.due(link.lane, now + parked.retry_after.seconds - 5, 10)
    # A process that begins anew knows as much.
    async with open_journal(tmp_path / "journal.db") as journal:
        assert [one.failures for one in await journal.due(link.lane, now + 301, 10)] == [TRIES]


async def test_a_pause_that_a_wrong_clock_began_is_over(tmp_path: Path) -> None:
    poison = Poison(WAYS["Stalled"][0], pb.TASK_KIND_LINK_KEY)
    async with lanes(tmp_path, poison) as bench:
        link = ACME.link()
        await bench.receive(*ACME.foundation(), link)
        await fail_again(bench, link)
        assert await bench.journal.due(link.lane, real_host().now() - 2 * retry.LONGEST_PAUSE, 10)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("reason", ["", "HSM_X", "OPENBAO_X", "POLICY_X", "JOURNAL_X", "OTHER", *sorted(retry._OWN)])
def test_a_task_fails_by_itself_or_waits_for_a_part(kind: type[OrbitalError], reason: str) -> None:
    own = retry.own(kind("x", reason=reason))
    if issubclass(kind, PASSING):
        assert own == (reason in retry._OWN)
    else:
        assert own == (not reason.startswith(("HSM_", "OPENBAO_", "POLICY_", "JOURNAL_")))


def test_the_kinds_of_errors_are_those_that_there_are() -> None:
    assert {Stalled, NotFound} <= {kind for kind in ERRORS if not issubclass(kind, PASSING)}


@given(st.integers(0, 2), st.integers(0, 10**6), st.integers(1, 1000))
def test_lane_0_is_never_parked_and_others_at_the_limit(lane: int, failures: int, limit: int) -> None:
    assert retry.parks(lane, failures, limit) == (lane != 0 and failures >= limit)


@given(st.floats(0.1, 10**6), st.floats(0, 0.999))
def test_a_pause_is_bounded(most: float, random: float) -> None:
    assert 0.75 * min(most, 3600) <= retry.pause(most, random) <= 3600
