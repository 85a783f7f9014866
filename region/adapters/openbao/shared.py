"""One question to OpenBao for all who ask the same at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Whoever asks while the same question is under way waits for it to be asked once more, with all who came since.

    So each answer was asked for after its caller came: it is never older than one of the caller's own.
    """

    def __init__(self) -> None:
        self._turns: dict[Hashable, asyncio.Lock] = {}
        self._next: dict[Hashable, asyncio.Future[T]] = {}

    async def ask(self, question: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, or raises, for one of those who ask this question."""
        answer = self._next.get(question)
        if answer is None:
            answer = self._next[question] = asyncio.get_running_loop().create_future()
        turn = self._turns.setdefault(question, asyncio.Lock())
        try:
            async with turn:
                if self._next.get(question) is answer:
                    del self._next[question]
                    return await self._answered(answer, work)
        finally:
            if not turn.locked() and question not in self._next:
                self._turns.pop(question, None)
        if answer.cancelled():
            # Whoever asked for all of us gave up; that is no reason for us to.
            return await self.ask(question, work)
        return answer.result()

    async def _answered(self, answer: asyncio.Future[T], work: Callable[[], Awaitable[T]]) -> T:
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
