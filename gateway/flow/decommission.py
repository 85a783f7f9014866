"""decommission: a region that is gone for good is taken out, once two people have said so."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from orbital.v1.approval_pb2 import Approval

from gateway.domain.approval import APPROVED, OPEN
from gateway.domain.stored import Stored
from gateway.flow.wake import work
from gateway.ports.decommission import Decommissioning, DecommissionStore, QueueRemoval
from gateway.ports.store import Action
from runtime.errors import NotFound, Precondition
from runtime.fields import check_name
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 1.0
MOST_LOST = 1000  # resources of a region that was taken out, as a person looks over them


class DecommissionRegion:
    """A region that is gone for good, as a subject of approvals."""

    def __init__(self, store: DecommissionStore) -> None:
        self._store = store

    def opening(self) -> AbstractAsyncContextManager[Decommissioning]:
        """A transaction beside which nothing is declared."""
        return self._store.decommissioning()

    async def describe(self, change: Decommissioning, found: Approval) -> None:
        """Say what stands there, and until when the region may serve."""
        region = check_name(found.decommission.region, "decommission_region")
        found.subject = (await _living(change, region)).resource.name
        found.decommission.CopyFrom(await change.standing(region))

    async def look(self, found: Approval) -> None:
        """Say what stands there now, and whether it is connected; or what stood there when it was taken out."""
        if found.state == APPROVED:
            found.decommission.lost.extend(await self._store.lost(found.id, MOST_LOST))
        elif found.state == OPEN:
            async with self.opening() as change:
                found.decommission.CopyFrom(await change.standing(found.decommission.region))

    async def carry_out(self, change: Decommissioning, found: Approval, action: Action) -> None:
        """Take the region out; the request says what stood there at that moment."""
        region = found.decommission.region
        item = await _living(change, region)
        found.decommission.CopyFrom(await change.standing(region))
        await change.take_out(found, item, action)
        log.warning(
            "region_decommissioned", region=region, actor=action.actor, placements=found.decommission.placements
        )


class QueueCleanup:
    """Removes the queues of regions that are gone; again after every start, and for as long as it could not be done."""

    def __init__(self, store: DecommissionStore, queues: QueueRemoval) -> None:
        self._store = store
        self._queues = queues
        self._done: set[str] = set()

    async def run(self, backoff: Backoff) -> None:
        """Until cancelled."""
        await work("dismantling", asyncio.Event(), LOOK_SECONDS, self.step, backoff)

    async def step(self) -> bool:
        """Look once; never more to do at once."""
        retired = set(await self._store.retired())
        self._done &= retired
        for region in sorted(retired - self._done):
            await self._queues.remove(region)
            self._done.add(region)
            log.info("queues_removed", region=region)
        return False


async def _living(change: Decommissioning, region: str) -> Stored:
    item = await change.region(region)
    if item is None:
        raise NotFound(f"The region {region!r} is not declared", reason="UNKNOWN_REGION", field="decommission_region")
    if item.resource.retired:
        message = f"The region {region!r} is gone for good already"
        raise Precondition(message, reason="REGION_RETIRED", field="decommission_region")
    return item
