"""decommission: a region that is gone for good is taken out by two people; policy makes sure that they are two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from orbital.v1.decommission_pb2 import Decommission, DecommissionState

from gateway.domain.stored import Stored
from gateway.flow.contended import whole
from gateway.flow.wake import work
from gateway.ports.decommission import Decommissioning, DecommissionStore, QueueRemoval
from gateway.ports.policy import Policy
from gateway.ports.serving import Caller
from gateway.ports.store import Action, Denial, TaskStore
from runtime.errors import Conflict, Denied, NotFound, Precondition
from runtime.fields import check_length, check_name
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.wellknown import exact

log = get_logger(__name__)

OPEN = DecommissionState.DECOMMISSION_STATE_OPEN
APPROVED = DecommissionState.DECOMMISSION_STATE_APPROVED
DECLINED = DecommissionState.DECOMMISSION_STATE_DECLINED
POLICY = "decommission"
# What a person reads at a glance, and the trail keeps.
MAX_REASON = 500
LOOK_SECONDS = 1.0


class DecommissionFlow:
    """See gateway.ports.decommission.Decommissions. `seconds`: for how long a request stays open."""

    def __init__(
        self,
        store: DecommissionStore,
        policy: Policy,
        denials: TaskStore,
        new_correlation_id: Callable[[], str],
        process: str,
        seconds: float,
    ) -> None:
        self._store = store
        self._policy = policy
        self._denials = denials
        self._new_correlation_id = new_correlation_id
        self._process = process
        self._seconds = seconds

    @whole
    async def ask(self, region: str, reason: str, caller: Caller, *, validate_only: bool) -> Decommission:
        """See the port. The same call again finds what it asked for before."""
        check_name(region, "region")
        if not validate_only:
            check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        identity = caller.correlation_id or self._new_correlation_id()
        async with self._store.decommissioning() as change:
            await _living(change, region)
            wanted = await change.standing(region)
            wanted.reason, wanted.asked_by = reason.strip(), caller.principal
            if validate_only:
                return wanted
            before = await change.open(region)
            if before and before != identity:
                raise Conflict(f"Somebody asked to decommission {region} already: {before}", reason="ALREADY_ASKED")
            if not before:
                wanted.id = identity
                await change.ask(wanted, self._seconds)
        return await self._one(identity)

    @whole
    async def approve(self, identity: str, caller: Caller) -> Decommission:
        """See the port."""
        found = await self._one(identity)
        if found.state == APPROVED and found.decided_by == caller.principal:
            return found
        decision_id = await self._decide("approve", found, caller)
        async with self._store.decommissioning() as change:
            item = await _living(change, found.region)
            now = await change.standing(found.region)
            now.id = found.id
            if not await change.close(now, APPROVED, caller.principal, ""):
                raise _closed(found)
            detail = f"{found.reason} (asked by {found.asked_by})"
            action = Action(identity, caller.principal, f"decommission {found.region}", detail, decision_id, "")
            await change.take_out(now, item, action)
        log.warning("region_decommissioned", region=found.region, actor=caller.principal, placements=now.placements)
        return await self._one(identity)

    async def decline(self, identity: str, reason: str, caller: Caller) -> Decommission:
        """See the port."""
        check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        found = await self._one(identity)
        await self._decide("decline", found, caller)
        async with self._store.decommissioning() as change:
            if not await change.close(found, DECLINED, caller.principal, reason.strip()):
                raise _closed(found)
        return await self._one(identity)

    async def decommissions(self, identity: str, size: int) -> Sequence[Decommission]:
        """See the port. An open one says what stands in the region now."""
        found = await self._store.decommissions(identity, size)
        for one in found:
            if one.state == OPEN:
                async with self._store.decommissioning() as change:
                    one.MergeFrom(await change.standing(one.region))
        return found

    async def _one(self, identity: str) -> Decommission:
        found = await self.decommissions(identity, 1) if identity else ()
        if not found:
            message = f"There is no request {identity[:64]!r} to decommission a region"
            raise NotFound(message, reason="UNKNOWN_DECOMMISSION", field="id")
        return found[0]

    async def _decide(self, act: str, found: Decommission, caller: Caller) -> str:
        """The ID of the decision; raises Denied, and keeps the denial."""
        request = {
            "id": found.id,
            "act": act,
            "region": found.region,
            "asked_by": found.asked_by,
            "expires_at": exact(found.expire_time),
        }
        decisions = await self._policy.decide(
            POLICY, {"principal": caller.principal, "requests": [request]}, [found.id]
        )
        if decisions.allows(found.id):
            return decisions.decision_id
        refusal = decisions.refused[found.id]
        action = f"{act} decommission of {found.region}"
        await self._denials.keep_denials(
            [Denial(decisions.decision_id, POLICY, caller.principal, action, refusal, found.id, self._process)]
        )
        raise Denied(refusal.message, reason=refusal.reason)


class Dismantling:
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
        raise NotFound(f"The region {region!r} is not declared", reason="UNKNOWN_REGION", field="region")
    if item.resource.retired:
        raise Precondition(f"The region {region!r} is gone for good already", reason="REGION_RETIRED", field="region")
    return item


def _closed(found: Decommission) -> Precondition:
    return Precondition(
        f"The request to decommission {found.region} is not open any more; ask again",
        reason="DECOMMISSION_CLOSED",
        field="id",
    )
