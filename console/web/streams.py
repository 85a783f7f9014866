"""Answers that go on: so many for one person, and none to a reader that takes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from runtime.errors import Exhausted


class Streams:
    """Counts the open streams of each principal, and writes to them with a time-out."""

    def __init__(self, each: int, write_seconds: float) -> None:
        self._each = each
        self._seconds = write_seconds
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, principal: str) -> Iterator[None]:
        """Count one more inside the block; raises Exhausted when that person has as many as they may."""
        if self._open[principal] >= self._each:
            message = f"You have {self._each} live pages open already. Close some of them."
            raise Exhausted(message, reason="TOO_MANY_STREAMS")
        self._open[principal] += 1
        try:
            yield
        finally:
            self._open[principal] -= 1
            if not self._open[principal]:
                del self._open[principal]

    async def write(self, response: web.StreamResponse, content: bytes) -> None:
        """Write to a reader; raises ConnectionError when it takes nothing for too long."""
        try:
            async with asyncio.timeout(self._seconds):
                await response.write(content)
        except TimeoutError as error:
            raise ConnectionAbortedError(f"The reader took nothing for {self._seconds:.0f} s") from error
