"""What was allowed a moment ago, so that the same question is not asked of policy again; bounded in time and number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class Allowances:
    """Questions that were allowed. All live equally long, so that the oldest is the first to go."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._since: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def holds(self, question: Hashable, now: float) -> bool:
        """Whether it was allowed less than the seconds ago; `now` never goes back."""
        self._forget(now)
        return question in self._since

    def keep(self, question: Hashable, now: float) -> None:
        """It was allowed by an answer to what was asked at `now`."""
        self._since[question] = now
        self._since.move_to_end(question)
        self._forget(now)
        while len(self._since) > self._most:
            self._since.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._since and now - next(iter(self._since.values())) >= self._seconds:
            self._since.popitem(last=False)
