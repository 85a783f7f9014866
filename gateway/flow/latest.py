"""What regions say again and again: collected while the store is busy, and of one region the last word counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runtime.errors import OrbitalError

T = TypeVar("T")


@dataclass(slots=True)
class _Submitted(Generic[T]):
    region: str
    word: T
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Latest(Generic[T]):
    """Stores at most `most` words at once, each answered when it, or a later one of its region, is durable."""

    def __init__(self, store: Callable[[Sequence[T]], Awaitable[None]], most: int) -> None:
        self._store = store
        self._most = most
        self._pending: list[_Submitted[T]] = []
        self._wake = asyncio.Event()

    async def submit(self, region: str, word: T) -> None:
        """Return once it is durable; raises Unavailable when the store is away."""
        submitted = _Submitted(region, word)
        self._pending.append(submitted)
        self._wake.set()
        await submitted.done

    async def run(self) -> None:
        """Store what was submitted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                taken, self._pending = self._pending[: self._most], self._pending[self._most :]
                last = {each.region: each.word for each in taken}
                failed: OrbitalError | None = None
                try:
                    await self._store(list(last.values()))
                except OrbitalError as error:
                    failed = error
                for each in taken:
                    _settle(each.done, failed)


def _settle(done: asyncio.Future[None], failed: OrbitalError | None) -> None:
    if done.done():
        return
    if failed is None:
        done.set_result(None)
    else:
        done.set_exception(failed)
