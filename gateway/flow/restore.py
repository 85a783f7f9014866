"""restore: what a kill took away comes back only by two people, of whom policy makes sure that they are two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from orbital.v1.resource_pb2 import TenantState
from orbital.v1.restore_pb2 import ApproveRestorationResponse, Restoration, RestorationState

from gateway.domain.links import keys_of, unowned
from gateway.domain.resource import parse_name
from gateway.domain.restore import restored
from gateway.domain.stored import Stored
from gateway.ports.policy import Policy
from gateway.ports.restore import RestoreStore, Restoring
from gateway.ports.serving import Caller
from gateway.ports.store import Action, Denial, TaskStore
from runtime.errors import Conflict, Denied, NotFound, Precondition
from runtime.fields import check_length, check_name
from runtime.wellknown import exact

OPEN = RestorationState.RESTORATION_STATE_OPEN
APPROVED = RestorationState.RESTORATION_STATE_APPROVED
DECLINED = RestorationState.RESTORATION_STATE_DECLINED
POLICY = "restore"
MAX_REASON = 500  # characters, for a person to read


class Restore:
    """See gateway.ports.restore.Restores. `seconds`: for how long a restoration stays open."""

    def __init__(
        self,
        store: RestoreStore,
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

    async def ask(self, tenant: str, reason: str, caller: Caller, *, validate_only: bool) -> Restoration:
        """See the port. The same call again finds what it asked for before."""
        check_name(tenant, "tenant")
        if not validate_only:
            check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        identity = caller.correlation_id or self._new_correlation_id()
        async with self._store.restoring() as change:
            item = _killed(await change.locked(tenant), tenant)
            services, regions = await change.reach(tenant)
            wanted = Restoration(
                tenant=tenant,
                reason=reason.strip(),
                asked_by=caller.principal,
                generation=item.generation,
                links=item.resource.tenant.unlinked_by_kill,
                services=services,
                regions=regions,
            )
            if validate_only:
                return wanted
            before = await change.open(tenant)
            if before and before != identity:
                raise Conflict(f"Somebody asked to restore {tenant} already: {before}", reason="ALREADY_ASKED")
            if not before:
                wanted.id = identity
                await change.ask(wanted, self._seconds)
        return await self._one(identity)

    async def approve(self, identity: str, caller: Caller) -> Restoration:
        """See the port."""
        found = await self._one(identity)
        if found.state == APPROVED and found.decided_by == caller.principal:
            return found
        decision_id = await self._decide("approve", found, caller)
        async with self._store.restoring() as change:
            stored = await change.locked(found.tenant)
            item = _killed(stored, found.tenant)
            if item.generation != found.generation:
                raise Precondition(
                    f"{found.tenant} has changed since this was asked (generation {found.generation}, now "
                    f"{item.generation}); ask again",
                    reason="STALE_GENERATION",
                )
            if not await change.close(identity, APPROVED, caller.principal, ""):
                raise _closed(found)
            detail = f"{found.reason} (asked by {found.asked_by})"
            action = Action(identity, caller.principal, f"restore {found.tenant}", detail, decision_id, "")
            links = set(found.links) - await _unowned(change, stored, found.links)
            await change.drive(action, restored(stored, links), ApproveRestorationResponse())
        return await self._one(identity)

    async def decline(self, identity: str, reason: str, caller: Caller) -> Restoration:
        """See the port."""
        check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        found = await self._one(identity)
        await self._decide("decline", found, caller)
        async with self._store.restoring() as change:
            if not await change.close(identity, DECLINED, caller.principal, reason.strip()):
                raise _closed(found)
        return await self._one(identity)

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        """See the port."""
        return await self._store.restorations(identity, size)

    async def _one(self, identity: str) -> Restoration:
        found = await self._store.restorations(identity, 1) if identity else ()
        if not found:
            raise NotFound(f"There is no restoration {identity[:64]!r}", reason="UNKNOWN_RESTORATION", field="id")
        return found[0]

    async def _decide(self, act: str, found: Restoration, caller: Caller) -> str:
        """The ID of the decision; raises Denied, and keeps the denial."""
        request = {
            "id": found.id,
            "act": act,
            "tenant": found.tenant,
            "asked_by": found.asked_by,
            "expires_at": exact(found.expire_time),
        }
        decisions = await self._policy.decide(
            POLICY, {"principal": caller.principal, "requests": [request]}, [found.id]
        )
        if decisions.allows(found.id):
            return decisions.decision_id
        refusal = decisions.refused[found.id]
        action = f"{act} restoration of {found.tenant}"
        await self._denials.keep_denials(
            [Denial(decisions.decision_id, POLICY, caller.principal, action, refusal, found.id, self._process)]
        )
        raise Denied(refusal.message, reason=refusal.reason)


async def _unowned(change: Restoring, stored: Mapping[str, Stored], links: Collection[str]) -> set[str]:
    """Those of these Links whose L1 key another tenant owns, and does not share at present: they stay unlinked."""
    wanted = [
        item.resource
        for name, item in stored.items()
        if item.resource.HasField("link") and parse_name(name).last in links and not item.resource.retired
    ]
    held = await change.holders(keys_of(wanted))
    return {parse_name(name).last for name in unowned(wanted, [item.resource for item in held.values()])}


def _killed(stored: Mapping[str, Stored], tenant: str) -> Stored:
    item = stored.get(f"tenants/{tenant}")
    if item is None:
        raise NotFound(f"No tenant {tenant!r}", reason="UNKNOWN_TENANT", field="tenant")
    if item.resource.retired:
        raise Precondition(f"The tenant {tenant!r} was retired", reason="RETIRED", field="tenant")
    if item.resource.tenant.state != TenantState.TENANT_STATE_KILLED:
        raise Precondition(f"The tenant {tenant!r} is not killed", reason="NOT_KILLED", field="tenant")
    return item


def _closed(found: Restoration) -> Precondition:
    return Precondition(
        f"The restoration of {found.tenant} is not open any more; ask again", reason="RESTORATION_CLOSED", field="id"
    )
