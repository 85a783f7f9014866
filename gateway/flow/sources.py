"""Where the messages of a lane stream come from: the lane's queue and, on lane 0, senders without the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from orbital.v1.dispatch_pb2 import Open

from gateway.flow.direct import Offer, OpenStreams
from gateway.flow.open_lanes import OpenLanes
from gateway.ports.faults import FaultStore
from gateway.ports.lanes import BrokerFault, Consumer, Lanes
from gateway.ports.store import TaskStore
from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)


class LaneSources:
    """Reads the queues of lanes, and mends what they have lost; `backoff` gives the waits between tries."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        store: TaskStore,
        faults: FaultStore,
        streams: OpenStreams,
        backoff: Callable[[], Backoff],
        open_lanes: OpenLanes | None = None,
    ) -> None:
        self.open_lanes = open_lanes or OpenLanes()
        self._lanes = lanes
        self._store = store
        self._faults = faults
        self._streams = streams
        self._backoff = backoff

    def backoff(self) -> Backoff:
        """Waits between tries."""
        return self._backoff()

    def consumer(self, opening: Open) -> AbstractAsyncContextManager[Consumer]:
        """A reader of the lane's queue, or of nothing where the region reads it itself."""
        if opening.apart:
            return self._lanes.ready(opening.region, opening.lane)
        return self._lanes.consume(opening.region, opening.lane, opening.credit)

    def offered(self, opening: Open, offer: Offer) -> AbstractContextManager[None]:
        """Inside the block messages that the broker does not take go by `offer`."""
        return self._streams.offered(opening.region, offer)

    async def restore(self, opening: Open) -> None:
        """Have the lane's queues again, and what was in them driven again."""
        try:
            await self._lanes.restore(opening.region, opening.lane)
        except Unavailable as error:
            log.warning("queue not restored", region=opening.region, lane=opening.lane, reason=error.reason)
        await self._store.rehydrate(opening.region, opening.lane)

    async def faulty(self, opening: Open, fault: BrokerFault) -> None:
        """Keep what is wrong with the lane's queue."""
        try:
            await self._faults.keep({opening.region: fault}, opening.lane)
        except Unavailable as error:
            log.warning("fault not kept", region=opening.region, lane=opening.lane, reason=error.reason)

    async def take_back(self, opening: Open) -> None:
        """See that nothing of the lane goes to an MQTT session, once the region has read what is in it.

        A region that could not give its session back would never see what goes there.
        """
        backoff = self._backoff()
        while (unread := await self._lanes.withdraw(opening.region, opening.lane)) is None:  # noqa: ASYNC110 - the broker does not tell
            await asyncio.sleep(backoff.next())
        if unread:
            log.warning("session given up", region=opening.region, lane=opening.lane, unread=unread)
            await self._store.rehydrate(opening.region, opening.lane)
