"""How fresh a policy is, is known to everybody who asks, or to nobody."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Self, cast

import aiohttp
import orjson
import pytest

from runtime.freshness import LOOK_SECONDS, Freshness

CONFIRMED = 1_800_000_000.0


class Engine:
    """An engine whose status takes a moment; `confirmed` None means that it does not say."""

    def __init__(self, confirmed: float | None = CONFIRMED) -> None:
        self.confirmed = confirmed
        self.asked = 0

    def get(self, _url: str) -> Engine:
        return self

    async def __aenter__(self) -> Self:
        self.asked += 1
        await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def read(self) -> bytes:
        if self.confirmed is None:
            return b"{}"
        said = datetime.fromtimestamp(self.confirmed, UTC).isoformat()
        return orjson.dumps({"result": {"bundles": {"orbital": {"last_successful_request": said}}}})


@pytest.fixture
def engine() -> Engine:
    return Engine()


def freshness(engine: Engine, now: list[float]) -> Freshness:
    return Freshness(cast("aiohttp.ClientSession", cast("Any", engine)), "http://engine", lambda: now[0])


async def test_all_who_ask_at_once_get_the_same_answer_of_one_look(engine: Engine) -> None:
    fresh = freshness(engine, [CONFIRMED + 3])
    assert await asyncio.gather(*(fresh.age() for _ in range(5))) == [3.0] * 5
    assert engine.asked == 1


async def test_it_is_looked_at_again_in_time_and_ages_meanwhile(engine: Engine) -> None:
    now = [CONFIRMED]
    fresh = freshness(engine, now)
    assert await fresh.age() == 0
    now[0] += LOOK_SECONDS / 2
    assert await fresh.age() == LOOK_SECONDS / 2
    now[0] += LOOK_SECONDS
    engine.confirmed = now[0]
    assert await fresh.age() == 0
    assert engine.asked == 2


async def test_what_is_not_known_is_asked_again_at_once() -> None:
    engine = Engine(None)
    fresh = freshness(engine, [CONFIRMED + 1])
    assert await fresh.age() is None
    engine.confirmed = CONFIRMED
    assert await fresh.age() == 1.0
