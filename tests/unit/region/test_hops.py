"""Each hop of a region, on each lane, that stands: its part is started again, then it is stuck, then it clears."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from orbital.v1 import dispatch_pb2

from region.adapters.journal.sqlite import SqliteJournal, open_journal
from region.domain import result
from region.flow.hops import Hops, rules
from region.flow.lane_journal import LaneJournal
from region.flow.lane_traffic import NOT_CONNECTED
from region.flow.outcome import Decided, settled
from region.flow.receive import Receiver
from region.flow.signals import LaneWakeups
from region.ports.host import real_host
from runtime.errors import Unavailable
from runtime.progress import Hop, Place
from runtime.watchdog import LOOK_SECONDS, Watchdog
from tests.unit.region.make import Estate

LANES = (0, 1, 2)
HOPS = (Hop.JOURNAL, Hop.EXECUTE, Hop.REPORT)


class Bench:
    def __init__(self, journal: SqliteJournal) -> None:
        self.now = 0.0
        self.journal = journal
        self.signals = {lane: LaneWakeups() for lane in LANES}
        self.lanes = {
            lane: LaneJournal(lane=lane, journal=journal, signals=self.signals, host=real_host()) for lane in LANES
        }
        self.restarted: list[str] = []
        hops = Hops(
            lanes=list(self.lanes.values()), restart=self.restarted.append, host=real_host(), steady=lambda: self.now
        )
        self.watchdog = Watchdog(looks=hops.looks, rules=rules(20.0, 60.0), tell=hops.tell, steady=lambda: self.now)

    def stuck(self) -> list[Place]:
        return [place for place, each in self.watchdog.known.items() if each.stuck]

    async def pass_by(self, until: Callable[[], object], most: float = 400.0) -> None:
        ends = self.now + most
        while not until():
            assert self.now < ends, self.watchdog.known
            await self.watchdog.step()
            self.now += LOOK_SECONDS

    async def receive(self, lane: int) -> None:
        task = Estate("acme").define_tenant()
        task.lane = lane
        await self.lanes[lane].receive([task], 1)

    async def execute(self, lane: int) -> None:
        entries = await self.lanes[lane].due(real_host().now(), 10, ())
        await self.lanes[lane].settle([settled(each, result.done(1), Decided("d", 1.0), 2.0, 0.0) for each in entries])

    async def report(self, lane: int) -> None:
        number = await self.lanes[lane].first_unsent()
        assert number is not None
        await self.journal.accepted(lane, number, number)
        self.lanes[lane].accepted()


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    async with open_journal(tmp_path / "journal.db") as journal:
        yield Bench(journal)


async def _arrive(bench: Bench, lane: int) -> Callable[[], Awaitable[None]]:
    """A message whose tasks the journal does not take; gives what mends that."""
    reader: Any = Stuck()
    receiver = Receiver(reader=reader, journal=bench.lanes[lane], merge=4)
    receiver.take(dispatch_pb2.Delivery(delivery_id=1))

    async def send(_: dispatch_pb2.SubscribeRequest) -> None: ...

    running = asyncio.ensure_future(receiver.run(send))
    await asyncio.sleep(0)

    async def mend() -> None:
        reader.free.set()
        await asyncio.sleep(0.1)
        running.cancel()

    return mend


class Stuck:
    def __init__(self) -> None:
        self.free = asyncio.Event()

    async def read(self, body: bytes) -> list[Any]:
        await self.free.wait()
        return [Estate("other").define_tenant()]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("hop", HOPS)
async def test_a_hop_that_stands_is_started_again_then_stuck_and_clears(bench: Bench, hop: Hop, lane: int) -> None:
    async def nothing() -> None: ...

    mend: Callable[[], Awaitable[None]] = nothing
    if hop is Hop.JOURNAL:
        mend = await _arrive(bench, lane)
    else:
        await bench.receive(lane)
    if hop is Hop.REPORT:
        await bench.execute(lane)
    await bench.pass_by(lambda: bench.restarted)
    assert bench.restarted == [f"execute-{lane}" if hop is Hop.EXECUTE else f"lane-{lane}"]
    assert not bench.stuck()
    await bench.pass_by(bench.stuck)
    assert bench.stuck() == [Place(hop, lane)]
    assert (await bench.lanes[lane].view()).hops[hop].stuck
    await mend()
    if hop is Hop.EXECUTE:
        await bench.execute(lane)
    if hop is Hop.REPORT:
        await bench.report(lane)
    await bench.pass_by(lambda: not bench.stuck())


@pytest.mark.parametrize("hop", [Hop.EXECUTE, Hop.REPORT])
async def test_what_is_known_to_wait_is_left_alone(bench: Bench, hop: Hop) -> None:
    await bench.receive(1)
    bench.signals[1].executed.awaits = "POLICY_UNAVAILABLE"
    if hop is Hop.REPORT:
        await bench.execute(1)
        bench.signals[1].reported.awaits = NOT_CONNECTED
    for _ in range(200):
        await bench.watchdog.step()
        bench.now += LOOK_SECONDS
    assert (bench.restarted, bench.stuck()) == ([], [])


async def test_a_slow_lane_that_moves_is_left_alone(bench: Bench) -> None:
    for number in range(100):
        task = Estate(f"t{number}").define_tenant()
        await bench.lanes[1].receive([task], 1)
    for _ in range(100):
        (entry,) = await bench.lanes[1].due(real_host().now(), 1, ())
        await bench.lanes[1].settle([settled(entry, result.done(1), Decided("d", 1.0), 2.0, 0.0)])
        bench.signals[1].reported.awaits = NOT_CONNECTED
        for _ in range(8):
            await bench.watchdog.step()
            bench.now += LOOK_SECONDS
    assert (bench.restarted, bench.stuck()) == ([], [])


@pytest.mark.parametrize("error", [Unavailable("away", reason="JOURNAL_UNAVAILABLE"), TimeoutError()])
async def test_a_journal_that_does_not_answer_counts_as_standing(bench: Bench, error: Exception) -> None:
    async def fail(*_: object) -> Any:
        raise error

    bench.lanes[0].due = fail  # type: ignore[method-assign]
    await bench.pass_by(bench.stuck)
    assert bench.stuck() == [Place(Hop.EXECUTE, 0)]


async def test_an_arrival_that_ends_with_its_stream_waits_no_longer(bench: Bench) -> None:
    reader: Any = Stuck()
    receiver = Receiver(reader=reader, journal=bench.lanes[1], merge=4)
    receiver.take(dispatch_pb2.Delivery(delivery_id=1))
    assert bench.signals[1].arrivals.seen().age is not None
    receiver.afresh(1)
    assert bench.signals[1].arrivals.seen().age is None
