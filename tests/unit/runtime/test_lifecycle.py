import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from runtime import lifecycle
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff, Supervisor, task_group


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


class Part:
    """Fails in one way after another, and then runs."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.starts = 0
        self.runs = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.runs.set()
        await asyncio.Event().wait()


FAILURES = [
    ValueError("no good"),
    Unavailable("away", reason="STORE_UNAVAILABLE"),
    # Of something that the part waited for, and not of the part.
    asyncio.CancelledError(),
    ExceptionGroup("several", [ExceptionGroup("more", [KeyError("x")])]),
    RuntimeError("line\nline"),
]


async def test_a_part_that_fails_is_started_again_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "WELL_SECONDS", 0.05)
    failing, other = Part(*FAILURES), Part()
    changes: list[dict[str, str]] = []
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, lambda: 0.999)
            supervisor.changed = lambda now: changes.append(dict(now))
            monkeypatch.setattr(Backoff, "next", lambda _: 0.0)
            supervisor.start("failing", failing.run)
            supervisor.start("other", other.run)
            async with asyncio.timeout(5):
                await failing.runs.wait()
                assert supervisor.failing == {"failing": "RuntimeError"}
                while supervisor.failing:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
    assert (failing.starts, other.starts) == (len(FAILURES) + 1, 1)
    reasons = ["ValueError", "STORE_UNAVAILABLE", "CancelledError", "KeyError", "RuntimeError"]
    assert [line["reason"] for line in logs] == reasons
    assert [change.get("failing", "") for change in changes] == [*reasons, ""]
    # One line each, that names the place, and no stack.
    assert all("exc_info" not in line for line in logs)
    assert "test_lifecycle.py" in logs[0]["at"]


async def test_a_part_ends_with_its_group() -> None:
    stubborn = Part()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            Supervisor(group, lambda: 0.0).start("part", stubborn.run)

    task = asyncio.create_task(work())
    await stubborn.runs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stubborn.starts == 1
