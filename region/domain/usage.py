"""How many keys were wrapped and unwrapped within the last hour, by System: counted in memory, minute by minute."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MINUTE = 60.0
MINUTES = 60
System = tuple[str, str]


@dataclass(slots=True)
class Count:
    """Keys, not calls: a batch counts each of its items."""

    wraps: int = 0
    unwraps: int = 0


class Usage:
    """Counts of the last 60 minutes, or since it began; times are in seconds since the epoch."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._minutes: deque[tuple[int, dict[System, Count]]] = deque()
        self._totals: dict[System, Count] = {}

    def add(self, tenant: str, system: str, now: float, *, wraps: int = 0, unwraps: int = 0) -> None:
        """Count what was served just now."""
        minute = int(now // MINUTE)
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append((minute, {}))
        key = (tenant, system)
        for counts in (self._minutes[-1][1], self._totals):
            count = counts.setdefault(key, Count())
            count.wraps += wraps
            count.unwraps += unwraps

    def since(self, now: float) -> float:
        """When the first counted second was."""
        return max(self._begun, (now // MINUTE - MINUTES + 1) * MINUTE)

    def counted(self, now: float, most: int) -> list[tuple[System, Count]]:
        """The busiest Systems, at most so many."""
        first = int(now // MINUTE) - MINUTES + 1
        while self._minutes and self._minutes[0][0] < first:
            for key, count in self._minutes.popleft()[1].items():
                total = self._totals[key]
                total.wraps -= count.wraps
                total.unwraps -= count.unwraps
                if not total.wraps and not total.unwraps:
                    del self._totals[key]
        busiest = sorted(self._totals.items(), key=lambda item: (-item[1].wraps - item[1].unwraps, item[0]))
        return busiest[:most]
