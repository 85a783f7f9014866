"""Tells the control plane: at once what has changed, and regularly that nothing has. What it did not take is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from checker.domain.flag import Flag
from checker.flow.aggregate import Aggregate
from checker.ports.control import Control, Host, Outbox
from runtime.errors import OrbitalError, Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)


class Signaller:
    """Every list is whole. Each change of it while the control plane is away is kept, and sent after, in order."""

    def __init__(self, aggregate: Aggregate, control: Control, outbox: Outbox, host: Host, beat: float) -> None:
        self._aggregate = aggregate
        self._control = control
        self._outbox = outbox
        self._host = host
        self._beat = beat
        # What was last told or kept.
        self._said: Sequence[str] | None = None
        self.sent_at: float | None = None
        self.heard = True

    async def run(self) -> None:
        """Signal until cancelled."""
        backoff = Backoff(self._host.random, first=0.1, most=0.5)
        while True:
            self._aggregate.changed.clear()
            flags = self._aggregate.flags()
            content = self._control.pack(flags, self._aggregate.versions, self._host.now())
            try:
                await self._deliver(content)
            except OrbitalError as error:
                if self.heard:
                    log.warning("the control plane does not take flags", reason=error.reason, error=error.message)
                self.heard = False
                if self._is_news(flags):
                    await self._outbox.keep(content)
                await self._wait(backoff.next())
                continue
            self.heard = True
            self.sent_at = self._host.now()
            backoff.reset()
            self._is_news(flags)
            await self._wait(self._beat)

    async def _deliver(self, content: bytes) -> None:
        while waiting := await self._outbox.waiting():
            try:
                await self._control.send(waiting[0])
            except Unavailable:
                raise
            except OrbitalError as error:
                # It will not be taken at another time either, and must not stop those behind it.
                log.warning("a kept signal is refused", reason=error.reason, error=error.message)
            await self._outbox.sent(1)
        await self._control.send(content)

    def _is_news(self, flags: Sequence[Flag]) -> bool:
        said = [f"{flag.component} {flag.status.name} {flag.reason}" for flag in flags]
        news, self._said = said != self._said, said
        if news:
            log.info("flags", flags=said)
        return news

    async def _wait(self, seconds: float) -> None:
        """Until something has changed, but no longer: a change that is gone again soon is told too."""
        try:
            async with asyncio.timeout(seconds):
                await self._aggregate.changed.wait()
        except TimeoutError:
            return
