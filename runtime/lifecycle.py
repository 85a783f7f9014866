"""The life of a process: one event loop, one task group, an orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from runtime.errors import OrbitalError
from runtime.logs import get_logger

log = get_logger(__name__)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` until it returns or SIGTERM or SIGINT cancels it; exits 0 after an orderly end, 1 after a failure."""
    sys.exit(asyncio.run(_run(main)))


async def _run(main: Callable[[], Awaitable[None]]) -> int:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    # A collection of the oldest generation over tens of thousands of streams takes 0.1 to 0.3 s: make it rare.
    gc.set_threshold(50_000, 20, 50)
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped")
    except BaseExceptionGroup as group:
        for error in _leaves(group):
            log.error("failed", error=str(error), kind=type(error).__name__, exc_info=error)
        return 1
    except OrbitalError as error:
        log.error("failed", error=error.message, reason=error.reason)
        return 1
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup after whose failure the task can go on.

    A child that fails while its parent already waits at the end of the block makes asyncio cancel the parent and, up to
    Python 3.12, never take that back. The next `asyncio.timeout` of the parent then ends in CancelledError.
    """
    parent = asyncio.current_task()
    assert parent is not None
    waiting = False
    try:
        async with asyncio.TaskGroup() as group:
            yield group
            waiting = True
    except BaseExceptionGroup:
        # Only what the group asked for is taken back: a cancellation from outside has to stay.
        if waiting and sys.version_info < (3, 13) and group._parent_cancel_requested:  # type: ignore[attr-defined] # noqa: SLF001
            parent.uncancel()
        raise


async def part(name: str, work: Awaitable[None]) -> None:
    """Run a part of a process: when it fails, the log says so at once, however long the process takes to end."""
    try:
        await work
    except Exception as error:
        log.error("part failed", part=name, error=str(error), kind=type(error).__name__)
        raise


def end_within(seconds: float) -> None:
    """End the process after so long, whatever still hangs: one that serves no more must make room for the next."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


class Backoff:
    """Waits that double from `first` to `most` seconds, each shortened at random by up to half."""

    def __init__(self, random: Callable[[], float], first: float = 0.2, most: float = 5.0) -> None:
        self._random = random
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """Start again from the first wait, after a success."""
        self._next = self._first

    def next(self) -> float:
        """The seconds to wait now."""
        wait = self._next * (1 - self._random() / 2)
        self._next = min(self._next * 2, self._most)
        return wait
