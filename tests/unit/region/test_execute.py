"""The executor over a real journal: decisions, fences, waiting, and what is reported of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.flow.execute import ExecuteSettings, Executor
from region.flow.in_flight import Scopes
from region.flow.lane_journal import LaneJournal
from region.flow.run_handlers import HandlerRunner
from region.flow.signals import LaneWakeups
from region.handlers.parts import Handler, Parts
from region.handlers.table import HANDLERS
from region.ports.host import real_host
from region.ports.policy import Decisions
from runtime.errors import Unavailable
from tests.unit.region.fakes import FakeHsm, FakeTransit, fake_parts
from tests.unit.region.make import Estate, task
from tests.unit.region.proving import FakeSigner, fake_receipts

ESTATE = Estate()


class Policy:
    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.forgotten: set[str] = set()
        self.away = 0
        self.asked: list[int] = []

    async def decide(self, tasks: Sequence[pb.Task]) -> Decisions:
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        self.asked.append(len(tasks))
        ids = {each.id for each in tasks}
        refused = dict.fromkeys(self.denied & ids, ("NO", "Not this one."))
        return Decisions("d1", frozenset(ids - self.denied - self.forgotten), refused)


class Bench:
    """Every lane's executor on one journal."""

    def __init__(self, journal: SqliteJournal, parts: Parts, policy: Policy) -> None:
        self.journal, self.parts, self.policy = journal, parts, policy
        self.signals = {lane: LaneWakeups() for lane in (0, 1, 2)}
        self.signer = FakeSigner()
        self.executors = self.executing(HANDLERS, ExecuteSettings(batch=256, width=16), patience=5.0)

    def executing(
        self, handlers: Mapping[pb.TaskKind.ValueType, Handler], settings: ExecuteSettings, patience: float
    ) -> list[Executor]:
        """An executor a lane, all with these handlers."""
        parts, scopes = self.parts, Scopes()
        receipts = fake_receipts(self.journal, parts.host, self.signer)
        runner = HandlerRunner(handlers=handlers, parts=parts, receipts=receipts, patience=patience)
        return [
            Executor(
                journal=LaneJournal(lane=lane, journal=self.journal, signals=self.signals, host=parts.host),
                policy=self.policy,
                runner=runner,
                scopes=scopes,
                settings=settings,
                host=parts.host,
            )
            for lane in self.signals
        ]

    async def receive(self, *tasks: pb.Task) -> None:
        for each in tasks:
            await self.journal.receive(each.lane, [each], self.parts.host.now())
            self.signals[each.lane].work.give()

    async def reports(self) -> list[pb.Report]:
        return [
            pb.Report.FromString(report)
            for lane in self.signals
            for _, report in await self.journal.unsent(lane, 0, 500)
        ]

    async def reported(self, enough: Callable[[list[pb.Report]], object]) -> list[pb.Report]:
        async with asyncio.timeout(20):
            while not enough(found := await self.reports()):  # noqa: ASYNC110  (the journal tells nobody)
                await asyncio.sleep(0.01)
        return found

    async def outcomes(self, *tasks: pb.Task) -> list[str]:
        """The last outcome of each, once each has one."""

        def last(found: list[pb.Report]) -> dict[str, pb.Report]:
            return {report.task_id: report for report in found}

        found = await self.reported(lambda reports: {each.id for each in tasks} <= set(last(reports)))
        return [pb.Outcome.Name(last(found)[each.id].outcome).removeprefix("OUTCOME_") for each in tasks]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(tmp_path / "journal.db"))
        bench = Bench(journal, replace(fake_parts(), host=real_host()), Policy())
        running = [asyncio.ensure_future(executor.run()) for executor in bench.executors]
        yield bench
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_everything_in_any_order_ends_done(bench: Bench) -> None:
    tasks = [*ESTATE.foundation(), ESTATE.link()]
    await bench.receive(*reversed(tasks))
    done = await bench.reported(
        lambda found: {each.task_id for each in found if each.outcome == pb.OUTCOME_DONE} == {each.id for each in tasks}
    )
    waits = {each.reason for each in done if each.outcome == pb.OUTCOME_WAITING}
    assert waits <= {"TENANT_UNDEFINED", "SYSTEM_UNDEFINED"}
    assert all(each.correlation_id == "c1" and each.decision_id == "d1" for each in done)
    held = cast("FakeTransit", bench.parts.transit).keys
    assert list(held) == ["acme.core"]


async def test_metadata_needs_no_key_operation(bench: Bench) -> None:
    await bench.receive(*ESTATE.foundation())
    assert await bench.outcomes(*ESTATE.foundation()) == ["DONE"] * 3
    labelled = ESTATE.service(2, kind=pb.TASK_KIND_SYNC_METADATA)
    cast("FakeHsm", bench.parts.hsm).away = True
    await bench.receive(labelled)
    assert await bench.outcomes(labelled) == ["DONE"]
    old = ESTATE.service(1, kind=pb.TASK_KIND_SYNC_METADATA)
    old.id = "f" * 32
    await bench.receive(old)
    (stale,) = [each for each in await bench.reported(lambda found: len(found) == 5) if each.task_id == old.id]
    assert (stale.outcome, stale.observed_generation) == (pb.OUTCOME_STALE, 2)


async def test_a_superseded_task_claims_only_what_is_held(bench: Bench) -> None:
    older, newer = ESTATE.system(1), ESTATE.system(2, 2)
    newer.lane = older.lane
    older.sequence, newer.sequence = 1, 2
    await bench.journal.receive(older.lane, [older, newer], bench.parts.host.now())
    bench.signals[older.lane].work.give()
    found = await bench.reported(lambda reports: len(reports) == 2)
    # Its tenant is not defined yet, so that the newer one waits: nothing is observed.
    assert {each.task_id: (each.outcome, each.observed_generation) for each in found} == {
        older.id: (pb.OUTCOME_STALE, 0),
        newer.id: (pb.OUTCOME_WAITING, 0),
    }


async def test_metadata_behind_a_key_operation_keeps_its_place(bench: Bench) -> None:
    await bench.receive(*ESTATE.foundation())
    await bench.outcomes(*ESTATE.foundation())
    label, rotation = ESTATE.system(2, kind=pb.TASK_KIND_SYNC_METADATA), ESTATE.service(2, 2)
    label.sequence, rotation.sequence = rotation.sequence, label.sequence
    await bench.journal.receive(2, [label, rotation], bench.parts.host.now())
    bench.signals[2].work.give()
    found = await bench.reported(lambda reports: len(reports) == 5)
    assert [each.task_id for each in found[-2:]] == [rotation.id, label.id]


async def test_refused_and_undecided_tasks_are_denied(bench: Bench) -> None:
    tasks = [Estate(name).define_tenant() for name in ("a", "b", "c")]
    bench.policy.denied = {tasks[0].id}
    bench.policy.forgotten = {tasks[1].id}
    await bench.receive(*tasks)
    assert await bench.outcomes(*tasks) == ["DENIED", "DENIED", "DONE"]
    reasons = {each.task_id: each.reason for each in await bench.reports()}
    assert (reasons[tasks[0].id], reasons[tasks[1].id]) == ("NO", "NO_DECISION")


async def test_nothing_is_executed_while_the_policy_engine_is_away(bench: Bench) -> None:
    bench.policy.away = 3
    await bench.receive(ESTATE.define_tenant())
    assert await bench.outcomes(ESTATE.define_tenant()) == ["DONE"]
    assert bench.policy.away == 0


async def test_a_waiting_task_says_why_once_and_goes_on_by_itself(bench: Bench) -> None:
    await bench.receive(*ESTATE.foundation())
    await bench.outcomes(*ESTATE.foundation())
    hsm = cast("FakeHsm", bench.parts.hsm)
    hsm.away = True
    await bench.receive(ESTATE.link())
    assert await bench.outcomes(ESTATE.link()) == ["WAITING"]
    await asyncio.sleep(1.2)
    hsm.away = False
    found = await bench.reported(lambda all_: all_[-1].outcome == pb.OUTCOME_DONE)
    own = [each for each in found if each.task_id == ESTATE.link().id]
    assert [(each.outcome, each.reason) for each in own] == [
        (pb.OUTCOME_WAITING, "HSM_UNREACHABLE"),
        (pb.OUTCOME_DONE, ""),
    ]


async def test_a_task_that_cannot_succeed_fails_with_its_reason(bench: Bench) -> None:
    wrong = ESTATE.define_tenant()
    wrong.resource.system.key_version = 1
    nowhere = Estate().define_tenant(2)
    nowhere.resource.name = "tenants/Not A Name"
    await bench.receive(wrong, nowhere)
    assert await bench.outcomes(wrong, nowhere) == ["FAILED", "FAILED"]


async def test_redelivery_of_a_reported_task_reports_it_again_and_of_a_denied_one_tries_it_again(bench: Bench) -> None:
    done, denied = Estate("a").define_tenant(), Estate("b").define_tenant()
    bench.policy.denied = {denied.id}
    await bench.receive(done, denied)
    assert await bench.outcomes(done, denied) == ["DONE", "DENIED"]
    await bench.journal.accepted(1, 0, 1 << 40)
    assert await bench.reports() == []
    bench.policy.denied = set()
    queries = len(bench.policy.asked)
    await bench.receive(done, denied)
    assert await bench.outcomes(done, denied) == ["DONE", "DONE"]
    assert sum(bench.policy.asked[queries:]) == 1


async def test_a_revocation_runs_though_its_database_thinks_it_is_done(bench: Bench) -> None:
    tasks = [*ESTATE.foundation(), ESTATE.link()]
    for each in tasks:
        await bench.receive(each)
        await bench.reported(lambda found, wanted=each: any(one.task_id == wanted.id for one in found))
    relabelled = task(pb.TASK_KIND_SYNC_METADATA, ESTATE.unlink(3).resource)
    await bench.receive(relabelled)
    await bench.outcomes(relabelled)
    assert cast("FakeTransit", bench.parts.transit).keys == {}
    await bench.receive(ESTATE.unlink(2))
    assert await bench.outcomes(ESTATE.unlink(2)) == ["STALE"]


async def test_what_was_settled_long_ago_is_forgotten(bench: Bench) -> None:
    tasks = [*ESTATE.foundation(), Estate("later").system()]
    await bench.receive(*tasks)
    assert (await bench.outcomes(*tasks))[-1] == "WAITING"
    assert await bench.journal.prune(bench.parts.host.now() - 60) == 0
    assert await bench.journal.prune(bench.parts.host.now() + 60) == 3
    assert await bench.journal.next_due(1, 0.0) is not None


class Held:
    """The HSM's wrap by one label, which is answered when it is told to."""

    def __init__(self, hsm: FakeHsm, label: str) -> None:
        self.asked, self.go, self._wrap = asyncio.Event(), asyncio.Event(), hsm.wrap
        self._label = label
        hsm.wrap = self.wrap  # type: ignore[method-assign]

    async def wrap(self, label: str, material: bytearray) -> bytes:
        if label == self._label:
            self.asked.set()
            await self.go.wait()
        return await self._wrap(label, material)


async def test_what_comes_while_a_system_is_worked_on_does_not_wait_for_it(bench: Bench) -> None:
    held = Held(cast("FakeHsm", bench.parts.hsm), "slow")
    slow, other = ESTATE.link(key="slow"), Estate("other")
    await bench.receive(*ESTATE.foundation())
    await bench.outcomes(*ESTATE.foundation())
    await bench.receive(slow)
    await asyncio.wait_for(held.asked.wait(), 5)
    later = [*other.foundation(), other.link()]
    await bench.receive(*later)
    await bench.outcomes(*later)
    assert slow.id not in {each.task_id for each in await bench.reports()}
    held.go.set()
    assert await bench.outcomes(slow) == ["DONE"]


async def test_what_comes_for_a_system_that_is_worked_on_waits_for_its_turn(bench: Bench) -> None:
    held = Held(cast("FakeHsm", bench.parts.hsm), "slow")
    slow, service = ESTATE.link(key="slow"), ESTATE.service(2, 2, pb.TASK_KIND_DEFINE_KEY)
    await bench.receive(*ESTATE.foundation())
    await bench.outcomes(*ESTATE.foundation())
    await bench.receive(slow)
    await asyncio.wait_for(held.asked.wait(), 5)
    other = Estate("other").define_tenant()
    await bench.receive(service, other)
    # What came after it is done; the executor has looked at both.
    assert await bench.outcomes(other) == ["DONE"]
    assert service.id not in {each.task_id for each in await bench.reports()}
    held.go.set()
    assert await bench.outcomes(slow, service) == ["DONE", "DONE"]
    order = [each.task_id for each in await bench.reports()]
    assert order.index(slow.id) < order.index(service.id)


async def test_outcomes_that_the_journal_does_not_take_are_not_lost(bench: Bench) -> None:
    settle, broken = bench.journal.settle, asyncio.Event()

    async def once(*given: object) -> None:
        if not broken.is_set():
            broken.set()
            raise OSError
        await settle(*given)  # type: ignore[arg-type]

    bench.journal.settle = once  # type: ignore[method-assign]
    await bench.receive(ESTATE.define_tenant())
    await asyncio.wait_for(broken.wait(), 5)
    # The supervisor runs the executor again; what it had in hand is due as before.
    again = asyncio.ensure_future(bench.executors[1].run())
    assert await bench.outcomes(ESTATE.define_tenant()) == ["DONE"]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
