"""How the stages of one lane wake one another; the journal is what they pass work through."""

from __future__ import annotations

import asyncio


class Signal:
    """Something happened since it was last waited for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Wake whoever waits, now or next."""
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for it at most so long; False when the time ran out."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class LaneSignals:
    """`work`: there are tasks to execute; `reports`: there are outcomes to report."""

    def __init__(self) -> None:
        self.work = Signal()
        self.reports = Signal()
