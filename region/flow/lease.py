"""Keeps when the control plane was last heard, in memory for serving and now and then on disk for a restart."""

from __future__ import annotations

import asyncio

from region.ports.journal import Journal
from region.ports.world import World


class Beats:
    """The last proof of life from the control plane."""

    def __init__(self, journal: Journal, world: World, every: float) -> None:
        self._journal = journal
        self._world = world
        self._every = every
        self._last = 0.0

    @property
    def last(self) -> float:
        """Seconds since the epoch, by this machine's clock."""
        return self._last

    def heard(self) -> None:
        """A beat arrived on any lane."""
        self._last = self._world.now()

    async def load(self) -> None:
        """Take up what the last run knew."""
        self._last = await self._journal.last_beat(self._world.now())

    async def run(self) -> None:
        """Store it every so often; a restart loses at most that much of a lease."""
        stored = self._last
        while True:
            await asyncio.sleep(self._every)
            if self._last > stored:
                stored = self._last
                await self._journal.beat(stored)
