import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runtime.lifecycle import Backoff, part, task_group


async def fails(after: asyncio.Event) -> None:
    await after.wait()
    raise ValueError


async def fail_while_it_waits() -> None:
    waits = asyncio.Event()
    async with task_group() as group:
        group.create_task(fails(waits))
        asyncio.get_running_loop().call_soon(waits.set)


async def fail_in_its_block() -> None:
    now = asyncio.Event()
    now.set()
    async with task_group() as group:
        group.create_task(fails(now))
        await asyncio.Event().wait()


@pytest.mark.parametrize("group", [fail_while_it_waits, fail_in_its_block])
async def test_a_task_goes_on_after_a_group_that_failed(group: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(ExceptionGroup):
        await group()
    await check_that_this_task_goes_on()


async def check_that_this_task_goes_on() -> None:
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()


async def test_a_cancellation_stays_whatever_a_child_does_about_it() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError from None

    async def run() -> None:
        async with task_group() as group:
            group.create_task(stubborn())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ExceptionGroup):
        await task
    assert task.cancelling() == 1


async def test_a_cancellation_from_outside_still_ends_it() -> None:
    async def run() -> None:
        async with task_group() as group:
            group.create_task(asyncio.Event().wait())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_waits_double_up_to_the_most_and_begin_again() -> None:
    backoff = Backoff(lambda: 0.0, first=1, most=3)
    assert [backoff.next() for _ in range(4)] == [1, 2, 3, 3]
    backoff.reset()
    assert backoff.next() == 1


async def test_a_part_that_fails_is_logged_before_its_process_ends(capsys: pytest.CaptureFixture[str]) -> None:
    async def breaks() -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        await part("reports", breaks())
    told = "".join(capsys.readouterr())
    assert "part failed" in told
    assert "reports" in told
