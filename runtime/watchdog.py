"""Looks at every hop of a process, and has the part of one that does not move started again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.logs import get_logger
from runtime.progress import NOT_PROGRESSING, Hop, Place, Progress, Reading, Rule, forgotten, observe

log = get_logger(__name__)

LOOK_SECONDS = 2.0


class HopCounter:
    """What a hop says of itself while it works: what it has in hand, how much has passed, and what it waits for."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._in_hand: deque[float] = deque()
        self.taken = 0
        self.moved = 0
        # The known reason for which nothing can pass; empty where there is none.
        self.awaits = ""

    def took(self, count: int = 1) -> None:
        """So many items came."""
        self.taken += count
        self._in_hand.extend([self._steady()] * count)

    def done(self, count: int = 1) -> None:
        """So many have passed, the oldest first."""
        self.moved += count
        self.drop(count)

    def drop(self, count: int) -> None:
        """So many are gone without having passed."""
        for _ in range(min(count, len(self._in_hand))):
            self._in_hand.popleft()

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """So many items pass inside the block, unless it raises."""
        self.took(count)
        try:
            yield
        except BaseException:
            self.drop(count)
            raise
        self.done(count)

    def seen(self) -> Reading:
        """How it stands now."""
        age = self._steady() - self._in_hand[0] if self._in_hand else None
        return Reading(age, self.moved, self.awaits)


@dataclass(frozen=True, slots=True)
class WatchedHop:
    """What was seen of a hop, and what starts its part again."""

    place: Place
    seen: Reading
    restart: Callable[[], None]


class Watchdog:
    """Keeps what is known of every hop; `tell` is given it at each look."""

    def __init__(
        self,
        *,
        looks: Callable[[], Awaitable[Sequence[WatchedHop]]],
        rules: Mapping[Hop, Rule],
        tell: Callable[[Mapping[Place, Progress]], Awaitable[None]],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._looks = looks
        self._rules = rules
        self._tell = tell
        self._steady = steady
        self.known: dict[Place, Progress] = {}

    async def run(self) -> None:
        """Look at every hop until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(LOOK_SECONDS)

    async def step(self) -> None:
        """Look once."""
        looks, now = await self._looks(), self._steady()
        for look in looks:
            before = self.known.get(look.place)
            self.known[look.place], restart = observe(before, look.seen, now, self._rules[look.place.hop])
            _log(look.place, before, self.known[look.place])
            if restart:
                look.restart()
        longest = max((rule.bound for rule in self._rules.values()), default=0.0)
        for place in forgotten(self.known, (look.place for look in looks), now, longest):
            del self.known[place]
        await self._tell(self.known)


def _log(place: Place, before: Progress | None, after: Progress) -> None:
    """Say when a hop is started again, and when it moves after that."""
    earlier = before.restarts if before else 0
    if after.restarts == earlier:
        return
    where = {"hop": str(place.hop), "lane": place.lane, "region": place.region}
    if after.restarts:
        seconds = {"age": round(after.age(), 1), "idle": round(after.idle(), 1)}
        log.warning("hop_restarted", reason=NOT_PROGRESSING, restarts=after.restarts, **where, **seconds)
    else:
        log.info("hop_moves", restarts=earlier, **where)
