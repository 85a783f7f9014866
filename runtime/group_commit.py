"""Group commit: what many callers want stored goes to the store together, and one bad item fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runtime.errors import Invalid, OrbitalError, Unavailable

T = TypeVar("T")

# What Python itself raises about a value that cannot be turned into what a store takes.
VALUE_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError)

Store = Callable[[Sequence[T]], Awaitable[None]]


async def store_each(store: Store[T], items: Sequence[T]) -> dict[int, OrbitalError]:
    """Store all of `items` but those that the store refuses, which are given by their index with the refusal.

    A batch that is refused is halved until what is refused is one item. Raises Unavailable when the store is away,
    whatever was stored by then: to store an item twice must be harmless.
    """
    refused: dict[int, OrbitalError] = {}
    ranges = [range(len(items))] if items else []
    while ranges:
        here = ranges.pop()
        try:
            await store(items[here.start : here.stop])
        except Unavailable:
            raise
        except (OrbitalError, *VALUE_ERRORS) as error:
            if len(here) == 1:
                refused[here.start] = _refusal(error)
            else:
                middle = here.start + len(here) // 2
                ranges += [range(middle, here.stop), range(here.start, middle)]
    return refused


def _refusal(error: Exception) -> OrbitalError:
    if isinstance(error, OrbitalError):
        return error
    return Invalid(f"This cannot be stored ({type(error).__name__})", reason="CANNOT_BE_STORED")


@dataclass(slots=True)
class _Submission(Generic[T]):
    items: Sequence[T]
    done: asyncio.Future[Mapping[int, OrbitalError]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class GroupCommit(Generic[T]):
    """Collects items while the store is busy with those before.

    It stores once `most` items are there, or the first of them is `age` seconds old; more than `bound` items that wait
    are refused as Unavailable. A submission is never split.
    """

    def __init__(self, store: Store[T], *, most: int, bound: int, age: float = 0.0) -> None:
        self._store = store
        self._most = most
        self._bound = bound
        self._age = age
        self._pending: list[_Submission[T]] = []
        self._size = 0
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._size

    async def submit(self, items: Sequence[T]) -> Mapping[int, OrbitalError]:
        """Return once all are durable, but those that the store refuses, by index; raises Unavailable to try again."""
        if not items:
            return {}
        if self._size and self._size + len(items) > self._bound:
            raise Unavailable(f"{self._size} items wait to be stored; try again later", reason="INTAKE_FULL")
        submission = _Submission(items)
        self._pending.append(submission)
        self._size += len(items)
        self._wake.set()
        return await submission.done

    async def run(self) -> None:
        """Store what was submitted, until cancelled."""
        while True:
            await self._wake.wait()
            if self._age and self._size < self._most:
                await self._gather()
            self._wake.clear()
            while self._pending:
                await self._flush()

    async def _gather(self) -> None:
        """Wait until the first is old enough, or there are enough."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._age
        while self._size < self._most and (left := ends - loop.time()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Submission[T]]:
        size = count = 0
        while count < len(self._pending) and size < self._most:
            size += len(self._pending[count].items)
            count += 1
        taken, self._pending = self._pending[:count], self._pending[count:]
        self._size -= size
        return taken

    async def _flush(self) -> None:
        taken = self._take()
        # Said to whoever still waits when this is cancelled, or fails in a way that nobody foresaw.
        failed: OrbitalError | None = Unavailable("It was not stored; try again", reason="NOT_STORED")
        refused: Mapping[int, OrbitalError] = {}
        try:
            refused = await store_each(self._store, [item for submission in taken for item in submission.items])
            failed = None
        except Unavailable as error:
            failed = error
        finally:
            _settle(taken, refused, failed)


def _settle(taken: Sequence[_Submission[T]], refused: Mapping[int, OrbitalError], failed: OrbitalError | None) -> None:
    start = 0
    for submission in taken:
        end = start + len(submission.items)
        if not submission.done.done():
            if failed is not None:
                submission.done.set_exception(failed)
            else:
                submission.done.set_result({at - start: error for at, error in refused.items() if start <= at < end})
        start = end
