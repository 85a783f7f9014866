"""Tells the control plane: at once what has changed, and regularly that nothing has. What it did not take is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from checker.flow.aggregate import Board
from checker.ports.control import Control, World
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)


class Signaller:
    """The list is sent whole, so the newest one is all that has to be kept while the control plane is away."""

    def __init__(self, board: Board, control: Control, world: World, beat: float) -> None:
        self._board = board
        self._control = control
        self._world = world
        self._beat = beat
        self.sent_at: float | None = None
        self.heard = True

    async def run(self) -> None:
        """Signal until cancelled."""
        backoff = Backoff(self._world.random, first=0.1, most=0.5)
        told: Sequence[str] | None = None
        while True:
            self._board.changed.clear()
            flags = self._board.flags()
            try:
                await self._control.signal(flags, self._board.versions, self._world.now())
            except OrbitalError as error:
                if self.heard:
                    log.warning("the control plane does not take flags", reason=error.reason, error=error.message)
                self.heard = False
                await asyncio.sleep(backoff.next())
                continue
            self.heard = True
            self.sent_at = self._world.now()
            backoff.reset()
            said = [f"{flag.component} {flag.status.name} {flag.reason}" for flag in flags]
            if said != told:
                log.info("flags", flags=said)
            told = said
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._beat):
                await self._board.changed.wait()
        except TimeoutError:
            return
