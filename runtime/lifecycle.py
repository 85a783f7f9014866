"""The life of a process: one event loop, one task group, an orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from runtime.errors import OrbitalError, Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` until it returns or SIGTERM or SIGINT cancels it; exits 0 after an orderly end, 1 after a failure."""
    sys.exit(asyncio.run(_run(main)))


async def _run(main: Callable[[], Awaitable[None]]) -> int:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unheard)
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
            log.error("failed", error=str(error), kind=type(error).__name__, at=_place(error))
        return 1
    except OrbitalError as error:
        log.error("failed", error=error.message, reason=error.reason)
        return 1
    except Exception as error:  # noqa: BLE001 - the end of the process: its log names the cause in one line
        log.error("failed", error=str(error), kind=type(error).__name__, at=_place(error))
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


# A part that ran this long before it failed starts again from the first wait.
STEADY_SECONDS = 30.0
# A part that was started again counts as well once it has run this long.
WELL_SECONDS = 5.0


class Supervisor:
    """Keeps the parts of a process running: one that fails is started again after a growing wait, and others go on."""

    def __init__(
        self, group: asyncio.TaskGroup, random: Callable[[], float], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._group = group
        self._random = random
        self._steady = steady
        self._failing: dict[str, str] = {}
        # Parts inside of their work, and those of them that were told to begin it anew.
        self._working: dict[str, asyncio.Task[None]] = {}
        self._restarting: dict[str, str] = {}
        # Called with what is failing whenever that has changed.
        self.changed: Callable[[Mapping[str, str]], None] = lambda _: None

    @property
    def failing(self) -> Mapping[str, str]:
        """Why each part that failed of late did so; empty while all are well."""
        return dict(self._failing)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part until the group ends, or it returns."""
        self._group.create_task(self._keep(name, run), name=name)

    def restart(self, name: str, reason: str) -> None:
        """End what a part is doing and have it start again after its wait; one that waits already is left alone."""
        task = self._working.get(name)
        if task is not None and name not in self._restarting:
            self._restarting[name] = reason
            task.cancel()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(self._random)
        while True:
            began = self._steady()
            well = asyncio.get_running_loop().call_later(WELL_SECONDS, self._note, name, "")
            try:
                await self._work(name, run)
            except asyncio.CancelledError as error:
                # One that nobody asked for is a failure of what the part waited for.
                if _is_cancelled():
                    raise
                failed: BaseException = error
            except Exception as error:  # noqa: BLE001 - a supervisor: whatever fails is started again
                failed = error
            else:
                self._note(name, "")
                return
            finally:
                well.cancel()
            if self._steady() - began > STEADY_SECONDS:
                backoff.reset()
            wait = backoff.next()
            self._note(name, log_failure(name, failed, wait))
            await asyncio.sleep(wait)

    async def _work(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part once; raises Unavailable with the reason of whoever wants it to start again."""
        task = asyncio.current_task()
        assert task is not None
        self._working[name] = task
        try:
            await run()
        finally:
            del self._working[name]
            reason = self._restarting.pop(name, "")
            # Whoever cancels the task besides means it.
            if reason and not task.uncancel():
                raise Unavailable("The part was told to start again", reason=reason)

    def _note(self, name: str, reason: str) -> None:
        before = self.failing
        if reason:
            self._failing[name] = reason
        else:
            self._failing.pop(name, None)
        if before != self._failing:
            self.changed(self.failing)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def log_failure(name: str, error: BaseException, wait: float) -> str:
    """Say in one line what failed, why, and where; gives the reason."""
    leaf = _leaves(error)[0] if isinstance(error, BaseExceptionGroup) else error
    reason = leaf.reason if isinstance(leaf, OrbitalError) else type(leaf).__name__
    log.error("part_failed", part=name, reason=reason, error=str(leaf)[:500], at=_place(leaf), seconds=round(wait, 2))
    return reason


def _place(error: BaseException) -> str:
    """The innermost line of ours that the error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{'/'.join(own[-1].filename.split('/')[-3:])}:{own[-1].lineno} {own[-1].name}" if own else ""


def _log_unheard(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """What nobody waits for has failed: a line of the log, without the stack that asyncio would print."""
    error = context.get("exception")
    log.error(
        "unheard_failure",
        message=str(context.get("message", "")),
        kind=type(error).__name__ if error else "",
        error=str(error)[:500] if error else "",
        at=_place(error) if isinstance(error, BaseException) else "",
    )


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
