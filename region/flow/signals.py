"""How the stages of one lane wake one another; the journal is what they pass work through."""

from __future__ import annotations

import asyncio

from runtime.progress import Hop, Progress
from runtime.watchdog import HopCounter


class Wakeup:
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


class Contact:
    """Word among the lanes of a process that the gateway is back, so that none sleeps on."""

    def __init__(self) -> None:
        self._made = asyncio.Event()

    def made(self) -> None:
        """The gateway answered: whoever sleeps wakes."""
        self._made.set()
        self._made = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until contact is made."""
        try:
            async with asyncio.timeout(seconds):
                await self._made.wait()
        except TimeoutError:
            return


class LaneWakeups:
    """`work`: there are tasks to execute; `reports`: there are outcomes to report; `rest`: nothing is being executed.

    `heard` is when the gateway was last heard on the lane's stream, `accepted` when it last took a report, both in
    seconds since the epoch. The counters of the lane's hops: what has arrived and is not in the journal yet, what was
    executed, what was reported; and whether something moves at each hop, as it was last looked at.
    """

    def __init__(self) -> None:
        self.work = Wakeup()
        self.reports = Wakeup()
        self.rest = asyncio.Event()
        self.heard: float | None = None
        self.accepted: float | None = None
        self.arrivals, self.executed, self.reported = HopCounter(), HopCounter(), HopCounter()
        self.hops: dict[Hop, Progress] = {}
