"""The lanes of regions that have a stream here: what each has not acknowledged, and what its queue holds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orbital.v1.dispatch_pb2 import Open

from gateway.ports.flags import QueueReader
from runtime.errors import Unavailable
from runtime.progress import NOT_PROGRESSING, Hop, Place, Reading
from runtime.watchdog import HopCounter, WatchedHop

# Regions whose queues are looked at in one round; the others have their turn after them.
MOST_LOOKED_AT = 10


class OpenLane:
    """One lane of one region, over all of its streams."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._restarted = asyncio.Event()
        self.counter = HopCounter(steady)
        self.streams = 0
        # Messages in the queue when it was last looked at, and since when there were any.
        self._queued = 0
        self._queued_since: float | None = None

    def restart(self) -> None:
        """End the streams of the lane: the region opens another, and what it did not acknowledge comes again."""
        self._restarted.set()
        self._restarted = asyncio.Event()

    async def until_restart(self) -> None:
        """Raise Unavailable once the streams that are open now are to end."""
        await self._restarted.wait()
        raise Unavailable("Nothing has passed on the stream for too long", reason=NOT_PROGRESSING)

    def holds(self, messages: int) -> None:
        """The lane's queue was looked at."""
        self._queued = messages
        self._queued_since = (self._queued_since or self._steady()) if messages else None

    def looks(self, lane: int, region: str) -> list[WatchedHop]:
        """How its two hops stand. What was sent and is not acknowledged explains what waits in the queue."""
        stream = self.counter.seen()
        age = None if self._queued_since is None else self._steady() - self._queued_since
        awaits = "" if stream.age is None else Hop.STREAM
        queue = Reading(age, (self.counter.taken, self._queued), awaits)
        return [
            WatchedHop(Place(Hop.STREAM, lane, region), stream, self.restart),
            WatchedHop(Place(Hop.QUEUE, lane, region), queue, self.restart),
        ]


class OpenLanes:
    """All of them, by region and lane."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._lanes: dict[tuple[str, int], OpenLane] = {}
        self._turn: deque[str] = deque()

    @contextmanager
    def entered(self, opening: Open) -> Iterator[OpenLane]:
        """A stream of the lane is open inside the block."""
        lane = self._lanes.setdefault((opening.region, opening.lane), OpenLane(self._steady))
        lane.streams += 1
        if opening.apart:
            # The region reads the queue itself.
            lane.holds(0)
        try:
            yield lane
        finally:
            lane.streams -= 1

    def looks(self) -> list[WatchedHop]:
        """How the hops of the lanes stand that have a stream now."""
        return [
            look
            for (region, number), lane in self._lanes.items()
            if lane.streams
            for look in lane.looks(number, region)
        ]

    async def look_at_queues(self, reader: QueueReader) -> None:
        """Look at the queues of some regions; raises Unavailable where the broker does not answer."""
        here = {region for (region, _), lane in self._lanes.items() if lane.streams}
        waiting = [region for region in self._turn if region in here]
        self._turn = deque([*waiting, *sorted(here.difference(waiting))])
        for _ in range(min(MOST_LOOKED_AT, len(self._turn))):
            region = self._turn.popleft()
            self._turn.append(region)
            for queue in await reader.queues(region):
                lane = self._lanes.get((region, queue.lane))
                # Without a reader it is another's to tell.
                if lane is not None:
                    lane.holds(queue.messages if queue.consumers else 0)
