"""Which streams are open, as the database has to know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from orbital.v1.resource_pb2 import Transport

from gateway.ports.store import TaskStore
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)


class Contacts:
    """Which lanes of which regions have an open stream in this process."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._open: dict[tuple[str, int], int] = {}
        self._used: dict[tuple[str, int], Transport.ValueType] = {}
        self._transports: Mapping[str, Transport.ValueType] = {}

    def transport(self, region: str) -> Transport.ValueType:
        """The path that is declared for the region's tasks; unspecified when it is not known."""
        return self._transports.get(region, Transport.TRANSPORT_UNSPECIFIED)

    async def give_grace(self, region: str, lane: int, seconds: float) -> None:
        """A stream opens: what is silent on the lane is driven again only after so many seconds."""
        await self._store.give_grace(region, lane, seconds)

    @asynccontextmanager
    async def opened(self, region: str, lane: int, used: Transport.ValueType) -> AsyncIterator[None]:
        """Count a stream as open inside the block; the end of a lane's last stream is recorded at once."""
        key = (region, lane)
        await self._store.contacted([(region, lane, used)])
        self._used[key] = used
        self._open[key] = self._open.get(key, 0) + 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
                await asyncio.shield(self._lost(region, lane))

    async def _lost(self, region: str, lane: int) -> None:
        try:
            await self._store.lost(region, lane)
        except Unavailable as error:
            # Nobody records the contact any more, so that its age tells.
            log.warning("lost contact not recorded", region=region, lane=lane, reason=error.reason)

    async def run(self, seconds: float) -> None:
        """Record the contact of all of them, in one statement every `seconds`, until cancelled."""
        while True:
            if self._open:
                try:
                    await self._store.contacted([(*key, self._used[key]) for key in sorted(self._open)])
                    self._transports = await self._store.transports(sorted({region for region, _ in self._open}))
                except Unavailable as error:
                    log.warning("contact not recorded", reason=error.reason)
            await asyncio.sleep(seconds)
