"""A lease is counted by a steady clock: one that is set neither ends it nor makes it longer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from region.domain.lease import expired
from region.flow.lease import Heartbeats
from region.ports.journal import Journal
from tests.unit.region.fakes import FakeHost

LEASE = 60.0


class Kept:
    """What a journal remembers of beats."""

    def __init__(self, at: float | None = None) -> None:
        self.at = at

    async def last_beat(self, now: float) -> float:
        self.at = now if self.at is None else self.at
        return self.at

    async def beat(self, at: float) -> None:
        self.at = at


@pytest.fixture
def steady() -> list[float]:
    return [1000.0]


async def heartbeats(host: FakeHost, kept: Kept, steady: list[float]) -> Heartbeats:
    made = Heartbeats(cast("Journal", kept), replace(host.host(), monotonic=lambda: steady[0]), 10.0)
    await made.load()
    return made


@pytest.mark.parametrize("hours", [-48.0, -2.0, 0.0, 2.0, 48.0])
async def test_a_clock_that_is_set_while_it_runs_changes_nothing(steady: list[float], hours: float) -> None:
    host = FakeHost()
    made = await heartbeats(host, Kept(), steady)
    made.heard()
    host.time += hours * 3600
    for seconds, ended in ((LEASE, False), (0.1, True)):
        steady[0] += seconds
        assert expired(made.silence(), LEASE) is ended
    made.heard()
    assert made.silence() == 0


async def test_what_passed_between_two_runs_counts(steady: list[float]) -> None:
    host = FakeHost()
    made = await heartbeats(host, Kept(host.time - 50), steady)
    assert not expired(made.silence(), LEASE)
    steady[0] += 11
    assert expired(made.silence(), LEASE)


async def test_nothing_is_served_before_it_is_known_when_the_control_plane_was_heard() -> None:
    host = FakeHost()
    assert expired(Heartbeats(cast("Journal", Kept()), host.host(), 10.0).silence(), LEASE)


async def test_a_beat_of_a_clock_that_was_ahead_is_replaced_once_it_is_set_right(steady: list[float]) -> None:
    host, kept = FakeHost(), Kept()
    kept.at = host.time + 7200
    made = await heartbeats(host, kept, steady)
    assert made.silence() == 0
    made.heard()
    running = asyncio.ensure_future(made.run())
    await asyncio.sleep(0)
    running.cancel()
    assert made.silence() == 0
