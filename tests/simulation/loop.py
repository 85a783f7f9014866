"""An event loop in simulated time, which jumps to the next timer when nothing is ready. One seed, one run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
# A run that asks for so many turns without any time passing goes round in circles.
MOST_TURNS = 2_000_000


class Stuck(AssertionError):
    """Nothing is ready and nothing is due, but the run has not ended: somebody waits for ever."""


class _Timeless(selectors.BaseSelector):
    """Knows no files: what would be waited for is skipped."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._map[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.pop(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("Nothing is ready and nothing is due")
        self.skipped += max(0.0, timeout)
        return []

    def get_map(self) -> Any:
        return self._map


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and moves only while nothing is ready. Work for threads is done at once, in place."""

    def __init__(self) -> None:
        self._timeless = _Timeless()
        super().__init__(self._timeless)

    def time(self) -> float:
        return self._timeless.skipped

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            done.set_exception(error)
        return done


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` to its end in a loop of its own."""
    loop = SimulatedLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
