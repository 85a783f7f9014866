"""A token bucket: so much at once, and so much a second after that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class RateLimit:
    """Keeps one party from making more work than its share; the party waits, and nobody else."""

    def __init__(self, at_once: int, a_second: float, steady: Callable[[], float]) -> None:
        self._most = float(at_once)
        self._a_second = a_second
        self._steady = steady
        self._left = self._most
        self._at = steady()

    async def take(self) -> None:
        """Return when it may go on."""
        # What is taken before its time is paid back by waiting: those who come together wait one after another.
        wait = self._wait()
        self._left -= 1
        if wait > 0:
            await asyncio.sleep(wait)

    def _wait(self) -> float:
        now = self._steady()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        return max(0.0, (1 - self._left) / self._a_second)
