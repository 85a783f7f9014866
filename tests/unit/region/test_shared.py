"""One question for all who ask the same at once: none gets an answer that was asked for before it came."""

from __future__ import annotations

import asyncio

import pytest

from region.adapters.openbao.shared import SharedQuery
from runtime.errors import Unavailable


class Server:
    """Answers with the number of the question, when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Semaphore(0)
        self.down = False

    async def answer(self) -> int:
        self.asked += 1
        number = self.asked
        await self.go.acquire()
        if self.down:
            raise Unavailable("down")
        return number


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_during_a_question_shares_the_next() -> None:
    server, shared = Server(), SharedQuery[int]()
    asking = [asyncio.ensure_future(shared.ask("a", server.answer))]
    await _settle()
    asking += [asyncio.ensure_future(shared.ask("a", server.answer)) for _ in range(5)]
    await _settle()
    assert server.asked == 1
    server.go.release()
    server.go.release()
    assert await asyncio.gather(*asking) == [1, 2, 2, 2, 2, 2]


async def test_other_questions_are_asked_beside_it() -> None:
    server, shared = Server(), SharedQuery[int]()
    asking = [asyncio.ensure_future(shared.ask(name, server.answer)) for name in "abc"]
    await _settle()
    assert server.asked == 3
    for _ in asking:
        server.go.release()
    assert sorted(await asyncio.gather(*asking)) == [1, 2, 3]


async def test_all_are_told_of_a_failure_and_the_next_asks_anew() -> None:
    server, shared = Server(), SharedQuery[int]()
    server.down = True
    asking = [asyncio.ensure_future(shared.ask("a", server.answer)) for _ in range(3)]
    await _settle()
    server.go.release()
    server.go.release()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    server.down = False
    server.go.release()
    assert await shared.ask("a", server.answer) == server.asked


@pytest.mark.parametrize("whose", range(4))
async def test_whoever_gives_up_takes_nobody_along(whose: int) -> None:
    server, shared = Server(), SharedQuery[int]()
    asking = [asyncio.ensure_future(shared.ask("a", server.answer)) for _ in range(4)]
    await _settle()
    asking[whose].cancel()
    await _settle()
    for _ in range(4):
        server.go.release()
    async with asyncio.timeout(5):
        found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[whose], asyncio.CancelledError)
    assert all(isinstance(each, int) for index, each in enumerate(found) if index != whose)


async def test_the_second_one_who_asks_for_the_others_may_give_up_too() -> None:
    server, shared = Server(), SharedQuery[int]()
    asking = [asyncio.ensure_future(shared.ask("a", server.answer)) for _ in range(4)]
    await _settle()
    server.go.release()
    await asking[0]
    await _settle()
    # The second one asks now, for the last two as well.
    assert server.asked == 2
    asking[1].cancel()
    await _settle()
    server.go.release()
    assert await asyncio.gather(*asking[2:]) == [3, 3]
