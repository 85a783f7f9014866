"""One question to OpenBao for all who ask the same at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedQuery(Generic[T]):
    """Whoever asks while the same question is under way waits for it to be asked once more, with all who came since.

    So each answer was asked for after its caller came: it is never older than one of the caller's own.
    """

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn[T]] = {}

    async def ask(self, question: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, or raises, for one of those who ask this question."""
        turn = self._turns.setdefault(question, _Turn())
        turn.callers += 1
        try:
            return await turn.share(work)
        finally:
            turn.callers -= 1
            if not turn.callers:
                del self._turns[question]


class _Turn(Generic[T]):
    """One question: who asks it, one after the other, and the answer that those who came since will have in common."""

    def __init__(self) -> None:
        self.callers = 0
        self._asking = asyncio.Lock()
        self._next: asyncio.Future[T] | None = None

    async def share(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            answer = self._next
            if answer is None:
                answer = self._next = asyncio.get_running_loop().create_future()
            async with self._asking:
                if self._next is answer:
                    self._next = None
                    return await _answered(answer, work)
            if not answer.cancelled():
                return answer.result()
            # Whoever asked for all of us gave up; that is no reason for us to.


async def _answered(answer: asyncio.Future[T], work: Callable[[], Awaitable[T]]) -> T:
    try:
        found = await work()
    except Exception as error:
        answer.set_exception(error)
        # Nobody else may have asked.
        answer.exception()
        raise
    except BaseException:
        answer.cancel()
        raise
    answer.set_result(found)
    return found
