"""What many callers submit is stored together; what the store refuses fails alone, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import Conflict, Invalid, OrbitalError, Unavailable
from runtime.group_commit import VALUE_ERRORS, GroupCommit, store_each


class Store:
    """Refuses a whole batch for one bad item, as a database does."""

    def __init__(self, bad: dict[int, Exception] | None = None) -> None:
        self.bad = bad or {}
        self.stored: list[int] = []
        self.statements = 0
        self.away = False

    async def keep(self, items: Sequence[int]) -> None:
        self.statements += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        for item in items:
            if item in self.bad:
                raise self.bad[item]
        self.stored.extend(items)


REFUSALS: list[Exception] = [
    Invalid("no"),
    Conflict("no"),
    *(kind("no") for kind in (*VALUE_ERRORS, KeyError, OverflowError)),
]


@given(
    batches=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    bad=st.dictionaries(st.integers(0, 40), st.sampled_from(REFUSALS), max_size=6),
    most=st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_only_what_is_refused_fails_whatever_its_neighbours(
    batches: list[int], bad: dict[int, Exception], most: int
) -> None:
    store = Store(bad)

    async def work() -> None:
        commit = GroupCommit[int](store.keep, most=most, bound=1000)
        runner = asyncio.create_task(commit.run())
        numbers = iter(range(100))
        submitted = [[next(numbers) for _ in range(size)] for size in batches]
        answers = await asyncio.gather(*(commit.submit(items) for items in submitted))
        runner.cancel()
        for items, refused in zip(submitted, answers, strict=True):
            assert {items[index] for index in refused} == {item for item in items if item in bad}
            assert all(isinstance(error, OrbitalError) for error in refused.values())
        total = {item for items in submitted for item in items}
        assert sorted(store.stored) == sorted(total - set(bad))
        assert commit.waiting == 0

    asyncio.run(work())


async def test_one_bad_item_of_many_costs_few_statements() -> None:
    store = Store({777: Invalid("no")})
    assert list(await store_each(store.keep, range(1024))) == [777]
    assert store.statements <= 21


async def test_a_store_that_is_away_is_not_asked_for_each_item() -> None:
    store = Store()
    store.away = True
    with pytest.raises(Unavailable):
        await store_each(store.keep, range(1024))
    assert store.statements == 1


async def test_no_more_wait_than_the_bound() -> None:
    commit = GroupCommit[int](Store().keep, most=10, bound=10)
    first = asyncio.create_task(commit.submit(range(10)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await commit.submit([1])
    assert refused.value.reason == "INTAKE_FULL"
    first.cancel()


async def test_it_waits_for_company_until_there_is_enough_or_the_first_is_old() -> None:
    store = Store()
    commit = GroupCommit[int](store.keep, most=3, bound=10, age=0.05)
    runner = asyncio.create_task(commit.run())
    await commit.submit([1])
    assert store.statements == 1
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = [asyncio.create_task(commit.submit([number])) for number in range(3)]
    await asyncio.gather(*waiting)
    assert store.statements == 2
    assert loop.time() - began < 0.05
    runner.cancel()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_whoever_waits_is_answered_when_the_part_ends(error: BaseException) -> None:
    async def keep(_: Sequence[int]) -> None:
        await asyncio.sleep(0)
        raise error

    commit = GroupCommit[int](keep, most=10, bound=10)
    waiting = asyncio.create_task(commit.submit([1]))
    runner = asyncio.create_task(commit.run())
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waiting, 1)
    await asyncio.wait([runner])
