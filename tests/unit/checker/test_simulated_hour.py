"""An hour of a checker, its time simulated: every probe in its rounds, answers that take as long as chance has it."""

import asyncio
import random
import selectors
from pathlib import Path

import yaml

from checker.domain.sample import Finding, Status, healthy
from checker.domain.window import Rule
from checker.flow.aggregate import Aggregate
from checker.flow.probe import ProbeLoop
from checker.ports.control import Host
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.policy import Decisions

ROOT = Path(__file__).resolve().parents[3]
EPOCH = 1e9
TIMEOUT = 1.2
# Most answers come at once, a few of them hardly before the time-out.
SLOWEST = 0.95 * TIMEOUT


class Time(selectors.DefaultSelector):
    """A selector that never waits: the clock jumps to what the loop would have waited for."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


def simulate(work):
    """Run `work(clock)` on a loop whose time is simulated."""
    clock = Time()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(clock))


class Part(StatelessProbe):
    """What a probe looks at: well, unless it `fails` at that time."""

    def __init__(self, name, component, clock, chance, fails):
        self.about = ProbeInfo(name, component, "health", "AWAY", 0.5, TIMEOUT)
        self._clock, self._chance, self._fails = clock, chance, fails

    async def look(self):
        await asyncio.sleep(latency(self._chance))
        if self._fails(self.about.name, self._clock.now):
            return Finding(Status.OUT_OF_SYNC, "AWAY", "It is away.")
        return healthy()


class Engine:
    """A policy engine that allows everything, sooner or later."""

    def __init__(self, chance):
        self._chance = chance

    async def decide(self, _policy, _question, _identities):
        await asyncio.sleep(latency(self._chance) / 2)
        return Decisions("d", {})


def latency(chance):
    """Seconds: the median is 20 ms, one in a hundred takes half a second and more."""
    return min(chance.lognormvariate(-3.9, 1.4), SLOWEST)


def simulated(seconds, fails=lambda _name, _now: False):
    """Every flag that was seen in that time: when, which component, why; and how many of the looks are remembered."""

    async def run(clock):
        chance = random.Random(7)
        host = Host(lambda: EPOCH + clock.now, lambda: clock.now, chance.random)
        rules = yaml.safe_load((ROOT / "policies/data/probes.yaml").read_text())
        parts = [Part(name, rule["component"], clock, chance, fails) for name, rule in rules.items()]
        aggregate = Aggregate([part.about.component for part in parts], Rule(), host)
        rounds = asyncio.create_task(ProbeLoop("eu10", parts, Engine(chance), aggregate, host).run())
        seen = []
        while clock.now < seconds:
            await asyncio.sleep(0.5)
            if aggregate.seen_all():
                seen += [(clock.now, flag.component, flag.reason) for flag in aggregate.flags()]
        looks = sum(len(samples) for samples in aggregate.history.values())
        rounds.cancel()
        return seen, looks

    return simulate(run)


def test_an_hour_of_health_under_random_latency_raises_nothing():
    seen, looks = simulated(3600)
    assert seen == []
    assert looks == 60 * 15


def test_what_fails_for_a_minute_is_flagged_in_that_minute_alone():
    seen, _ = simulated(300, lambda name, now: name == "openbao" and 120 <= now < 180)
    assert {(component, reason) for _, component, reason in seen} == {("openbao", "AWAY")}
    assert 120 < seen[0][0] < 123
    assert 180 <= seen[-1][0] < 183
    assert len(seen) > 100
