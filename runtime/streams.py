"""How many streams a caller may have open, and how long: not beyond the end of what it showed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from runtime.errors import Exhausted, Unauthenticated

# What the sidecar says of a caller.
PRINCIPAL = "x-orbital-principal"
IDENTITY_END = "x-orbital-identity-end"


class OpenStreams:
    """Counts the open streams of each caller, and ends each with the identity that opened it."""

    def __init__(self, most: int, now: Callable[[], float] = time.time) -> None:
        self._most = most
        self._now = now
        self._open: Counter[str] = Counter()

    @asynccontextmanager
    async def opened(self, metadata: Mapping[str, str | bytes]) -> AsyncIterator[None]:
        """Inside the block a stream of this caller is open.

        Raises Exhausted when the caller has too many, and Unauthenticated when its certificate or token ends.
        """
        caller = str(metadata.get(PRINCIPAL, ""))
        if self._open[caller] >= self._most:
            raise Exhausted(
                f"The caller has {self._most} open streams and watches, which is the most at once; end one first",
                reason="TOO_MANY_STREAMS",
            )
        self._open[caller] += 1
        try:
            async with self._until_the_end(metadata):
                yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    @asynccontextmanager
    async def _until_the_end(self, metadata: Mapping[str, str | bytes]) -> AsyncIterator[None]:
        end = _seconds(metadata.get(IDENTITY_END))
        try:
            async with asyncio.timeout(None if end is None else max(0.0, end - self._now())) as age:
                yield
        except TimeoutError:
            if not age.expired():
                raise
            raise Unauthenticated(
                "The certificate or token that opened this stream has expired: renew it and open another one",
                reason="IDENTITY_ENDED",
            ) from None


def _seconds(said: str | bytes | None) -> float | None:
    """When an identity ends; one whose end cannot be read has ended."""
    if not said:
        return None
    try:
        return float(said)
    except ValueError:
        return 0.0
