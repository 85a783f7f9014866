"""How fresh a policy is, is known to everybody who asks, or to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Self, cast

import aiohttp
import orjson
import pytest

from runtime.freshness import LOOK_SECONDS, Freshness

CONFIRMED = 1_800_000_000.0
# What the steady clock shows when the engine's shows CONFIRMED.
STEADY = 5_000.0


class Engine:
    """An engine whose status takes a moment; `confirmed` None means that it does not say."""

    def __init__(self, confirmed: float | None = CONFIRMED) -> None:
        self.confirmed = confirmed
        self.now = [STEADY]
        # How far its machine's clock is off.
        self.ahead = 0.0
        self.asked = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Date": format_datetime(datetime.fromtimestamp(self.wall, UTC), usegmt=True)}

    @property
    def wall(self) -> float:
        return CONFIRMED + self.now[0] - STEADY + self.ahead

    def get(self, _url: str) -> Engine:
        return self

    async def __aenter__(self) -> Self:
        self.asked += 1
        await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    @property
    def content(self) -> Self:
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        if self.confirmed is None:
            yield b"{}"
            return
        said = datetime.fromtimestamp(self.confirmed, UTC).isoformat()
        yield orjson.dumps({"result": {"bundles": {"orbital": {"last_successful_request": said}}}})


@pytest.fixture
def engine() -> Engine:
    return Engine()


def freshness(engine: Engine, now: list[float]) -> Freshness:
    engine.now = now
    return Freshness(cast("aiohttp.ClientSession", cast("Any", engine)), "http://engine", lambda: now[0])


async def test_all_who_ask_at_once_get_the_same_answer_of_one_look(engine: Engine) -> None:
    fresh = freshness(engine, [STEADY + 3])
    assert await asyncio.gather(*(fresh.age() for _ in range(5))) == [3.0] * 5
    assert engine.asked == 1


async def test_it_is_looked_at_again_in_time_and_ages_meanwhile(engine: Engine) -> None:
    now = [STEADY]
    fresh = freshness(engine, now)
    assert await fresh.age() == 0
    now[0] += LOOK_SECONDS / 2
    assert await fresh.age() == LOOK_SECONDS / 2
    now[0] += LOOK_SECONDS
    engine.confirmed = engine.wall
    assert await fresh.age() == 0
    assert engine.asked == 2


async def test_what_is_not_known_is_asked_again_at_once() -> None:
    engine = Engine(None)
    fresh = freshness(engine, [STEADY + 1])
    assert await fresh.age() is None
    engine.confirmed = CONFIRMED
    assert await fresh.age() == 1.0


@pytest.mark.parametrize("hours", [-24.0, -2.0, 2.0, 24.0])
async def test_a_clock_that_is_wrong_from_the_start_makes_no_policy_old(engine: Engine, hours: float) -> None:
    engine.ahead = hours * 3600
    engine.confirmed = CONFIRMED + engine.ahead
    assert await freshness(engine, [STEADY + 3]).age() == 3.0


@pytest.mark.parametrize("hours", [-24.0, -2.0, 2.0, 24.0])
async def test_a_clock_that_is_set_makes_no_policy_older_or_newer(engine: Engine, hours: float) -> None:
    now = [STEADY]
    fresh = freshness(engine, now)
    assert await fresh.age() == 0
    engine.ahead = hours * 3600
    now[0] += 60
    # Not confirmed since: it ages as time passes, whatever the clocks say.
    assert await fresh.age() == 60
    engine.confirmed = engine.wall
    now[0] += 10
    assert await fresh.age() == 10
    # Confirmed just before the clock was set: it is no older than the last look.
    engine.confirmed = engine.wall
    engine.ahead += hours * 3600
    now[0] += 10
    assert 0 <= (await fresh.age() or 0.0) <= 10
