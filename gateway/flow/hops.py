"""Looks at the hops of this process, from the drift in the database to what regions have acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gateway.flow.detect import Detect
from gateway.flow.dispatch import Dispatch
from gateway.flow.open_lanes import OpenLanes
from gateway.ports.faults import FaultStore
from gateway.ports.flags import QueueReader
from gateway.ports.hops import HopStore, Oldest, Waiting
from gateway.ports.lanes import BrokerFault
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.progress import NOT_PROGRESSING, Hop, Place, Progress, Reading, told
from runtime.watchdog import HopCounter, WatchedHop

log = get_logger(__name__)

QUEUE_SECONDS = 5.0
NOTHING = Waiting(None, None)


class Stages:
    """The stages of one lane, and what starts each again."""

    def __init__(self, *, lane: int, detect: Detect, dispatch: Dispatch, restart: Callable[[str], None]) -> None:
        self.lane = lane
        self._detect = detect
        self._dispatch = dispatch
        self._restart = restart

    def looks(self, waiting: Waiting, away: str) -> list[WatchedHop]:
        """How their hops stand; `away` is the reason for which the database tells nothing."""
        detect, claims, publishes = self._detect.counter, self._dispatch.claims, self._dispatch.publishes
        publish = publishes.seen()
        # A stage publishes what it has claimed before it claims more.
        busy = "" if publish.age is None else Hop.PUBLISH
        seen = {
            Hop.DETECT: _seen(waiting.due, detect, away),
            Hop.CLAIM: _seen(waiting.pending, claims, away or busy),
            Hop.PUBLISH: publish,
        }
        return [WatchedHop(Place(hop, self.lane), each, partial(self._again, hop)) for hop, each in seen.items()]

    def _again(self, hop: Hop) -> None:
        self._restart(f"{'detect' if hop is Hop.DETECT else 'dispatch'} {self.lane}")


def _seen(oldest: Oldest | None, counter: HopCounter, away: str) -> Reading:
    mark = (counter.moved, oldest and oldest.mark)
    return Reading(oldest.age if oldest else None, mark, away or counter.awaits)


class Hops:
    """What a watchdog of this process looks at, and where it says what is stuck."""

    def __init__(
        self,
        *,
        store: HopStore,
        stages: Sequence[Stages],
        lanes: OpenLanes,
        queues: QueueReader,
        faults: FaultStore,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._stages = stages
        self._lanes = lanes
        self._queues = queues
        self._faults = faults
        self._steady = steady
        self._queues_at = steady()
        self._said: set[str] = set()

    async def looks(self) -> Sequence[WatchedHop]:
        """Look once: a statement for all lanes, and now and then a few queues."""
        waiting: Mapping[int, Waiting] = {}
        away = ""
        try:
            waiting = await self._store.waiting([each.lane for each in self._stages])
            if self._steady() - self._queues_at >= QUEUE_SECONDS:
                self._queues_at = self._steady()
                await self._lanes.look_at_queues(self._queues)
        except Unavailable as error:
            away = error.reason
        stages = [look for each in self._stages for look in each.looks(waiting.get(each.lane, NOTHING), away)]
        # A stream that ends while the database or the broker is away cannot be opened again.
        return stages if away else [*stages, *self._lanes.looks()]

    async def tell(self, known: Mapping[Place, Progress]) -> None:
        """Raise a flag for each hop of each lane that is stuck, and clear those that are not any more."""
        found: dict[str, list[str]] = {}
        for place, each in known.items():
            if each.stuck:
                found.setdefault(f"{place.hop}-lane-{place.lane}", []).append(told(place, each))
        try:
            for component in self._said - found.keys():
                await self._faults.say(component, None)
                self._said.discard(component)
            for component, texts in found.items():
                more = f" So do {len(texts) - 1} more regions." if len(texts) > 1 else ""
                await self._faults.say(component, BrokerFault(NOT_PROGRESSING, texts[0] + more))
                self._said.add(component)
        except Unavailable as error:
            log.warning("flag_waits", reason=error.reason)
