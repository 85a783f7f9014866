"""Each hop of the gateway, on each lane, whose part hangs: it is started again first, then flagged, then clears."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from orbital.v1.dispatch_pb2 import Open

from gateway.flow.detect import Detect
from gateway.flow.dispatch import Dispatch
from gateway.flow.hops import Hops, Stages
from gateway.flow.open_lanes import MOST_LOOKED_AT, OpenLanes
from gateway.flow.send import Sender
from gateway.ports.flags import QueueState
from gateway.ports.hops import Oldest, Waiting
from gateway.ports.lanes import BrokerFault
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff, Supervisor
from runtime.progress import NOT_PROGRESSING, Hop, Place, Rule
from runtime.watchdog import LOOK_SECONDS, Watchdog
from tests.unit.gateway.fakes import FakePolicy, FakePublisher, FakeTasks
from tests.unit.gateway.test_flow import claimed
from tests.unit.runtime.keys import Keys

RULE = Rule(bound=20.0, pause=10.0)
LANES = (0, 1, 2)


class Hanging(FakeTasks):
    """A store, a policy or a broker whose answers never come while `hangs` names the question."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = ""
        self.asked: list[str] = []

    async def answer(self, what: str) -> None:
        self.asked.append(what)
        if self.hangs == what:
            await asyncio.Event().wait()

    @asynccontextmanager
    async def drifting(self, lane: int, limit: int) -> Any:
        await self.answer("detect")
        async with super().drifting(lane, limit) as batch:
            yield batch

    @asynccontextmanager
    async def claiming(self, lane: int, limit: int, here: Sequence[str] = ()) -> Any:
        await self.answer("claim")
        async with super().claiming(lane, limit, here) as batch:
            yield batch


class HangingPublisher(FakePublisher):
    def __init__(self, store: Hanging) -> None:
        super().__init__()
        self._store = store

    async def publish(self, parcels: Sequence[Any]) -> Sequence[BrokerFault | None]:
        await self._store.answer("publish")
        return await super().publish(parcels)


class Flags:
    def __init__(self) -> None:
        self.raised: dict[str, BrokerFault] = {}
        self.away = False

    async def say(self, component: str, trouble: BrokerFault | None) -> None:
        if self.away:
            raise Unavailable("away", reason="STORE_UNAVAILABLE")
        self.raised.pop(component, None)
        if trouble:
            self.raised[component] = trouble


class Queues:
    version = "4"

    def __init__(self) -> None:
        self.messages: dict[tuple[str, int], int] = {}
        self.looked_at: list[str] = []

    async def queues(self, region: str) -> Sequence[QueueState]:
        self.looked_at.append(region)
        return [QueueState(lane, "q", self.messages.get((region, lane), 0), 1) for lane in LANES]


class World:
    def __init__(self, lane: int, place: Path) -> None:
        self.lane, self.now = lane, 0.0
        self.store, self.flags, self.queues = Hanging(), Flags(), Queues()
        sender = Sender(publisher=HangingPublisher(self.store), signer=Keys.make(place).gateway, most=2)
        policy: Any = FakePolicy()
        self.dispatch = Dispatch(lane=lane, store=self.store, policy=policy, sender=sender, claim=10)
        self.detect = Detect(self.store, lane, 10, self.dispatch.wake.set)
        self.lanes = OpenLanes(lambda: self.now)
        self.restarted: list[str] = []
        self.away = False

    async def waiting(self, lanes: Sequence[int]) -> Mapping[int, Waiting]:
        if self.away:
            raise Unavailable("away", reason="STORE_UNAVAILABLE")
        due, pending = self.store.drifts, self.store.pending
        return {self.lane: Waiting(Oldest(1.0, str(due[0])) if due else None, Oldest(1.0, "t") if pending else None)}

    def watchdog(self, restart: Callable[[str], None]) -> Watchdog:
        def again(part: str) -> None:
            self.restarted.append(part)
            restart(part)

        stages = [Stages(lane=self.lane, detect=self.detect, dispatch=self.dispatch, restart=again)]
        store: Any = self
        flags: Any = self.flags
        hops = Hops(
            store=store, stages=stages, lanes=self.lanes, queues=self.queues, faults=flags, steady=lambda: self.now
        )
        rules = dict.fromkeys(Hop, RULE)
        return Watchdog(looks=hops.looks, rules=rules, tell=hops.tell, steady=lambda: self.now)

    async def pass_by(self, watchdog: Watchdog, until: Callable[[], bool], most: float = 200.0) -> None:
        """Let time pass until then; the parts have their turns."""
        ends = self.now + most
        while not until():
            assert self.now < ends, (self.restarted, self.flags.raised)
            await watchdog.step()
            self.now += LOOK_SECONDS
            await asyncio.sleep(0.01)


async def supervised(world: World, work: Callable[[Watchdog], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        supervisor = Supervisor(group, lambda: 0.999)
        parts = {
            f"detect {world.lane}": lambda: world.detect.run(0.01, Backoff(lambda: 0.9, 0.01)),
            f"dispatch {world.lane}": lambda: world.dispatch.run(0.01, Backoff(lambda: 0.9, 0.01)),
        }
        for name, run in parts.items():
            supervisor.start(name, run)
        await work(world.watchdog(lambda part: supervisor.restart(part, NOT_PROGRESSING)))
        for task in asyncio.all_tasks():
            if task.get_name() in parts:
                task.cancel()


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("hop", [Hop.DETECT, Hop.CLAIM, Hop.PUBLISH])
async def test_a_stage_that_hangs_is_started_again_flagged_and_clears(
    hop: Hop, lane: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The time of the parts is the real one, and here it stands.
    monkeypatch.setattr(Backoff, "next", lambda _: 0.0)
    world, flag = World(lane, tmp_path), f"{hop}-lane-{lane}"

    async def work(watchdog: Watchdog) -> None:
        await world.pass_by(watchdog, lambda: len(world.store.asked) > 3)
        assert not world.restarted
        world.store.hangs = str(hop)
        task = claimed(1)
        world.store.pending.append(task if lane == 1 else _on(task, lane))
        if hop is Hop.DETECT:
            world.store.pending.clear()
            world.store.drifts.append(_drift(lane))
        await world.pass_by(watchdog, lambda: bool(world.restarted))
        assert not world.flags.raised
        assert world.restarted == [f"detect {lane}" if hop is Hop.DETECT else f"dispatch {lane}"]
        await world.pass_by(watchdog, lambda: flag in world.flags.raised)
        assert set(world.flags.raised) == {flag}
        assert world.flags.raised[flag].reason == NOT_PROGRESSING
        world.store.hangs = ""
        await world.pass_by(watchdog, lambda: not world.flags.raised)

    await supervised(world, work)


def _drift(lane: int) -> Any:
    from gateway.ports.store import Drift

    return Drift(1, "tenants/t", "t", "eu10", 2, lane, 3, "c", 0, 0, 0)


def _on(task: Any, lane: int) -> Any:
    from dataclasses import replace

    return replace(task, lane=lane)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("hop", [Hop.STREAM, Hop.QUEUE])
async def test_a_stream_that_stands_is_ended_flagged_and_clears(hop: Hop, lane: int, tmp_path: Path) -> None:
    world, flag = World(lane, tmp_path), f"{hop}-lane-{lane}"
    watchdog = world.watchdog(lambda _: None)
    ends: list[Any] = []

    async def stream() -> None:
        """Opened again whenever it is ended, as regions do it."""
        while True:
            with world.lanes.entered(Open(region="eu10", lane=lane)) as here:
                if hop is Hop.STREAM:
                    here.counter.took()
                try:
                    await here.until_restart()
                except Unavailable as error:
                    ends.append(error.reason)
                finally:
                    here.counter.drop(1)

    task = asyncio.create_task(stream())
    await asyncio.sleep(0)
    if hop is Hop.QUEUE:
        world.queues.messages["eu10", lane] = 7
    await world.pass_by(watchdog, lambda: bool(ends))
    assert ends == [NOT_PROGRESSING]
    assert not world.flags.raised
    await world.pass_by(watchdog, lambda: flag in world.flags.raised)
    assert set(world.flags.raised) == {flag}
    assert "eu10" in world.flags.raised[flag].message
    world.queues.messages.clear()
    (here,) = world.lanes._lanes.values()
    here.counter.done()
    await world.pass_by(watchdog, lambda: not world.flags.raised)
    task.cancel()


@pytest.mark.parametrize("hop", [Hop.DETECT, Hop.CLAIM, Hop.STREAM, Hop.QUEUE])
async def test_while_the_database_is_away_nothing_is_started_again(hop: Hop, tmp_path: Path) -> None:
    world = World(1, tmp_path)
    world.away = world.flags.away = True
    watchdog = world.watchdog(lambda _: None)
    with world.lanes.entered(Open(region="eu10", lane=1)) as here:
        if hop is Hop.STREAM:
            here.counter.took()
        world.queues.messages["eu10", 1] = 7
        world.store.pending.append(claimed(1))
        for _ in range(200):
            await watchdog.step()
            world.now += LOOK_SECONDS
        assert not world.restarted
        assert not watchdog.known.get(Place(hop, 1)) or not watchdog.known[Place(hop, 1)].restarts


async def test_the_queues_of_many_regions_are_looked_at_in_turn() -> None:
    lanes, queues = OpenLanes(), Queues()
    names = [f"r{number}" for number in range(3 * MOST_LOOKED_AT)]
    opened = [lanes.entered(Open(region=name, lane=1)) for name in names]
    for each in opened:
        each.__enter__()
    for _ in range(3):
        before = len(queues.looked_at)
        await lanes.look_at_queues(queues)
        assert len(queues.looked_at) - before == MOST_LOOKED_AT
    assert sorted(queues.looked_at) == sorted(names)
    for each in opened:
        each.__exit__(None, None, None)
    await lanes.look_at_queues(queues)
    assert len(queues.looked_at) == len(names)
