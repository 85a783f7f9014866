"""Compares how far regions' states are: what a region says at opening and with its reports, and what is known of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from orbital.v1.dispatch_pb2 import Beat, Open, Opened, StateMark

from gateway.domain.state import check_mark, check_recovery
from gateway.ports.state import StateStore
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

# IDs of recoveries that a beat repeats.
REPEATED = 8


class States:
    """The marks of the regions with streams in this process; kept in one statement for all of them."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._open: Counter[str] = Counter()
        self._fresh: dict[tuple[str, int], StateMark] = {}
        self._known: Mapping[str, Sequence[StateMark]] = {}
        self._recovered: Mapping[str, Sequence[str]] = {}

    async def opening(self, opening: Open, opened: Opened) -> None:
        """Keep what a stream says at its opening, and tell it what is known; a region that went back is driven again.

        Raises Invalid naming the field that cannot be kept.
        """
        region = opening.region
        if opening.mark.term:
            check_mark(opening.mark, "open.mark")
            await self._store.keep_marks([(region, opening.mark)])
        if opening.HasField("recovery") and opening.recovery.id:
            check_recovery(opening.recovery, "open.recovery")
            if await self._store.begin_recovery(region, opening.recovery):
                log.warning("region_state_went_back", region=region, stores=sorted(set(opening.recovery.stores)))
        opened.marks.extend((await self._store.marks([region])).get(region, ()))

    @contextmanager
    def held(self, region: str) -> Iterator[None]:
        """What is known of the region is kept up to date inside the block."""
        self._open[region] += 1
        try:
            yield
        finally:
            self._open[region] -= 1
            if not self._open[region]:
                del self._open[region]

    def reported(self, region: str, mark: StateMark) -> None:
        """Reports of this mark are durable; the mark will be, at the next step."""
        if mark.term:
            check_mark(mark, "reports.mark")
            self._fresh[region, mark.journal] = mark

    def tell(self, region: str, beat: Beat) -> None:
        """Put into a proof of life what is known of the region."""
        beat.marks.extend(self._known.get(region, ()))
        beat.recovered.extend(self._recovered.get(region, ())[:REPEATED])

    async def run(self, seconds: float) -> None:
        """Step every so many seconds, until cancelled."""
        while True:
            try:
                await self.step()
            except Unavailable as error:
                log.warning("states_not_compared", reason=error.reason)
            await asyncio.sleep(seconds)

    async def step(self) -> None:
        """Keep what was reported, end what is over, and read what is known."""
        fresh, self._fresh = self._fresh, {}
        try:
            await self._store.keep_marks([(region, mark) for (region, _), mark in sorted(fresh.items())])
        except Unavailable:
            self._fresh = fresh | self._fresh
            raise
        regions = sorted(self._open)
        if regions:
            self._known = await self._store.marks(regions)
            self._recovered = await self._store.recovered(regions)
