"""Looks at the hops of a process's lanes: what has arrived, what is to be executed, what is to be reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from region.flow.lane_journal import LaneJournal
from region.ports.host import Host
from runtime.errors import OrbitalError
from runtime.progress import Hop, Place, Progress, Reading, Rule
from runtime.watchdog import HopCounter, WatchedHop

# A journal that takes longer to answer has not moved.
SECONDS = 5.0


def rules(bound: float, patience: float) -> Mapping[Hop, Rule]:
    """How long each hop may stand; a handler may take `patience` seconds, which is no stand-still."""
    usual = Rule(bound=bound, pause=bound / 2)
    executing = Rule(bound=bound + patience, pause=bound + patience)
    return {Hop.JOURNAL: usual, Hop.EXECUTE: executing, Hop.REPORT: usual}


class Hops:
    """What a watchdog of this process looks at; `restart` starts a part again, by its name."""

    def __init__(
        self,
        *,
        lanes: Sequence[LaneJournal],
        restart: Callable[[str], None],
        host: Host,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = lanes
        self._restart = restart
        self._host = host
        self._steady = steady
        self._since: dict[Place, float] = {}

    async def looks(self) -> Sequence[WatchedHop]:
        """Look once: two short questions to the journal for each lane."""
        return [look for lane in self._lanes for look in await self._of(lane)]

    async def tell(self, known: Mapping[Place, Progress]) -> None:
        """Lay down at each lane how its hops stand."""
        for lane in self._lanes:
            lane.signals.hops = {place.hop: each for place, each in known.items() if place.lane == lane.lane}

    async def _of(self, lane: LaneJournal) -> list[WatchedHop]:
        signals, number = lane.signals, lane.lane
        due = await _asked(lambda: self._first_due(lane))
        unsent = await _asked(lane.first_unsent)
        seen = {
            Hop.JOURNAL: signals.arrivals.seen(),
            Hop.EXECUTE: self._seen(Place(Hop.EXECUTE, number), due, signals.executed),
            Hop.REPORT: self._seen(Place(Hop.REPORT, number), unsent, signals.reported),
        }
        return [WatchedHop(Place(hop, number), each, partial(self._again, hop, number)) for hop, each in seen.items()]

    async def _first_due(self, lane: LaneJournal) -> int | None:
        found = await lane.due(self._host.now(), 1, ())
        return found[0].row if found else None

    def _seen(self, place: Place, oldest: int | None, counter: HopCounter) -> Reading:
        """A hop between journal and journal; its oldest item is as old as it has been the oldest one here."""
        mark = (counter.moved, oldest)
        if oldest is None:
            self._since.pop(place, None)
            return Reading(None, mark, counter.awaits)
        return Reading(self._steady() - self._since.setdefault(place, self._steady()), mark, counter.awaits)

    def _again(self, hop: Hop, lane: int) -> None:
        self._restart(f"execute-{lane}" if hop is Hop.EXECUTE else f"lane-{lane}")


async def _asked(ask: Callable[[], Awaitable[int | None]]) -> int | None:
    """The journal's answer; without one something is supposed to wait, since nothing passes."""
    try:
        async with asyncio.timeout(SECONDS):
            return await ask()
    except (OrbitalError, TimeoutError):
        return -1
