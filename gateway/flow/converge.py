"""Stage 7, converge: observed equals desired, and the job closes. Reports close jobs; this is the safety net."""

from __future__ import annotations

import asyncio

from gateway.flow.wake import work
from gateway.ports.store import ReportStore
from runtime.lifecycle import Backoff


class Converge:
    """Closes the jobs that no report closes: those whose placements a later change has taken over."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store

    async def run(self, seconds: float, backoff: Backoff) -> None:
        """Close jobs every `seconds` until cancelled."""
        await work("converge", asyncio.Event(), seconds, self.step, backoff)

    async def step(self) -> bool:
        """Close what has converged; never more to do at once."""
        await self._store.converge_all()
        return False
