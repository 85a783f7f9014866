"""A hop that does not move: its part starts again first, then there is a flag, and it clears when something passes."""

import asyncio
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.lifecycle import Supervisor
from runtime.progress import Hop, Place, Progress, Reading, Rule, observe, told
from runtime.watchdog import LOOK_SECONDS, HopCounter, Watchdog, WatchedHop

RULE = Rule(bound=20.0, pause=10.0, longest=80.0)
PLACES = [Place(hop, lane) for hop, lane in product(Hop, (0, 1, 2))]


class Bench:
    """One hop of one lane, whose part hangs until it is mended; time is held."""

    def __init__(self, place: Place) -> None:
        self.now = 0.0
        self.place = place
        self.counter = HopCounter(lambda: self.now)
        self.restarts: list[float] = []
        self.flags: list[tuple[float, Mapping[Place, Progress]]] = []
        self.watchdog = Watchdog(
            looks=self._looks, rules=dict.fromkeys(Hop, RULE), tell=self._tell, steady=lambda: self.now
        )

    async def _looks(self) -> list[WatchedHop]:
        return [WatchedHop(self.place, self.counter.seen(), lambda: self.restarts.append(self.now))]

    async def _tell(self, known: Mapping[Place, Progress]) -> None:
        if stuck := {place: each for place, each in known.items() if each.stuck}:
            self.flags.append((self.now, stuck))

    async def pass_by(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.now < ends:
            await self.watchdog.step()
            self.now += LOOK_SECONDS


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_each_hop_that_stands_is_started_again_then_flagged_and_clears_once_something_passes(
    place: Place,
) -> None:
    bench = Bench(place)
    await bench.pass_by(100)
    bench.counter.took()
    await bench.pass_by(18)
    assert (bench.restarts, bench.flags) == ([], [])
    await bench.pass_by(10)
    assert len(bench.restarts) == 1
    assert not bench.flags
    await bench.pass_by(30)
    first, stuck = bench.flags[0]
    assert bench.restarts[0] < first
    assert list(stuck) == [place]
    text = told(place, stuck[place])
    assert f"hop {place.hop} of lane {place.lane}" in text
    bench.counter.done()
    await bench.pass_by(2)
    bench.flags.clear()
    await bench.pass_by(200)
    assert not bench.flags
    assert bench.watchdog.known[place].restarts == 0


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_what_is_known_to_wait_is_neither_started_again_nor_flagged(place: Place) -> None:
    bench = Bench(place)
    bench.counter.took()
    bench.counter.awaits = "POLICY_UNAVAILABLE"
    await bench.pass_by(1000)
    assert (bench.restarts, bench.flags) == ([], [])
    bench.counter.awaits = ""
    await bench.pass_by(100)
    assert bench.restarts
    assert bench.flags


async def test_restarts_are_fewer_and_fewer() -> None:
    bench = Bench(PLACES[0])
    bench.counter.took()
    await bench.pass_by(600)
    waits = [later - earlier for earlier, later in zip(bench.restarts, bench.restarts[1:], strict=False)]
    assert waits == sorted(waits)
    assert max(waits) <= RULE.longest + LOOK_SECONDS
    assert len(bench.restarts) <= 12


async def test_a_hop_that_is_gone_is_forgotten() -> None:
    bench = Bench(PLACES[0])
    bench.counter.took()
    await bench.pass_by(50)
    assert bench.flags

    async def nothing() -> list[WatchedHop]:
        return []

    bench.watchdog._looks = nothing
    await bench.pass_by(30)
    assert not bench.watchdog.known


LOOKS = st.lists(
    st.tuples(st.sampled_from([None, 1.0, 99.0]), st.integers(0, 2), st.sampled_from(["", "", "", "AWAY"])),
    max_size=60,
)


@given(LOOKS)
def test_nothing_is_flagged_before_it_was_started_again_and_only_what_stood_for_long(looks: list[tuple]) -> None:
    known: Progress | None = None
    quiet_since, mark_before = 0.0, None
    for number, (age, mark, awaits) in enumerate(looks):
        now = number * LOOK_SECONDS
        passes = mark != mark_before or bool(awaits)
        if known is None or age is None or passes:
            quiet_since = now
        mark_before = mark
        known, restart = observe(known, Reading(age, mark, awaits), now, RULE)
        assert not (restart and known.restarts == 1 and now - quiet_since < RULE.bound)
        assert not (known.stuck and known.restarts < 2)
        if passes:
            assert (known.restarts, known.stuck, restart) == (0, False, False)


@given(st.integers(1, 4))
def test_a_part_that_has_nothing_in_hand_while_it_starts_is_still_the_one_that_stood(gap: int) -> None:
    known, _ = observe(None, Reading(1.0, 0), 0.0, RULE)
    known, restart = observe(known, Reading(21.0, 0), 21.0, RULE)
    assert restart
    for number in range(gap):
        known, _ = observe(known, Reading(None, 0), 22.0 + 2 * number, RULE)
    known, _ = observe(known, Reading(1.0, 0), 32.0, RULE)
    assert known.stuck
    for at in (34.0, 45.0):
        known, _ = observe(known, Reading(None, 0), at, RULE)
    assert (known.restarts, known.stuck) == (0, False)


class Part:
    """Does what it is told at each run, then waits for ever."""

    def __init__(self, *ends: str) -> None:
        self.ends = list(ends)
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        end = self.ends.pop(0) if self.ends else "wait"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if end == "fail":
                raise ValueError("while it was ended") from None
            if end == "return":
                return
            raise
        finally:
            if end == "slow":
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", ["wait", "fail", "return", "slow"])
async def test_a_part_starts_again_when_told_and_the_others_go_on(end: str) -> None:
    part, other = Part(end, end), Part()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, lambda: 0.999)
            supervisor.start("part", part.run)
            supervisor.start("other", other.run)
            for runs in (2, 3):
                await asyncio.sleep(0)
                supervisor.restart("part", "NOT_PROGRESSING")
                # What is ending already is not told twice.
                supervisor.restart("part", "NOT_PROGRESSING")
                supervisor.restart("nobody", "NOT_PROGRESSING")
                while part.runs < runs:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert supervisor.failing["part"] == "NOT_PROGRESSING"

    task = asyncio.create_task(work())
    async with asyncio.timeout(20):
        while part.runs < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (part.runs, other.runs) == (3, 1)


async def test_the_end_of_the_process_is_no_restart() -> None:
    part = Part("wait")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, lambda: 0.999)
            supervisor.start("part", part.run)
            await asyncio.sleep(0)
            supervisor.restart("part", "NOT_PROGRESSING")
            for task in asyncio.all_tasks():
                if task.get_name() == "part":
                    task.cancel()

    async with asyncio.timeout(5):
        await work()
    assert part.runs == 1
