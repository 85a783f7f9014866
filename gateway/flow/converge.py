"""Stage 7, converge: nothing of a change is left to do, and it ends. Reports end changes; this is the safety net."""

from __future__ import annotations

import asyncio

from gateway.flow.wake import work
from gateway.ports.store import ReportStore
from runtime.lifecycle import Backoff


class Converge:
    """Ends the changes that no report ends: two that end at the same time do not see each other."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store

    async def run(self, seconds: float, backoff: Backoff) -> None:
        """End changes every `seconds` until cancelled."""
        await work("converge", asyncio.Event(), seconds, self.step, backoff)

    async def step(self) -> bool:
        """End what has nothing left to do; never more to do at once."""
        await self._store.converge_all()
        return False
