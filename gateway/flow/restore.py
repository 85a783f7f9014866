"""restore: what a kill took away comes back, once two people have said so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager

from google.protobuf.empty_pb2 import Empty
from orbital.v1.approval_pb2 import Approval, Restoration
from orbital.v1.resource_pb2 import TenantState

from gateway.domain.links import keys_of, unowned
from gateway.domain.resource import parse_name
from gateway.domain.restore import restored
from gateway.domain.stored import Stored
from gateway.ports.store import Action, DesiredStore, Tenancy
from runtime.errors import NotFound, Precondition
from runtime.fields import check_name


class RestoreTenant:
    """A killed tenant, as a subject of approvals."""

    def __init__(self, store: DesiredStore) -> None:
        self._store = store

    def opening(self) -> AbstractAsyncContextManager[Tenancy]:
        """A transaction over the tenant."""
        return self._store.killing()

    async def describe(self, change: Tenancy, found: Approval) -> None:
        """Say which Links come back, and where."""
        tenant = check_name(found.restoration.tenant, "restore_tenant")
        item = _killed(await change.locked(tenant), tenant)
        services, regions = await change.reach(tenant)
        found.subject = item.resource.name
        found.restoration.CopyFrom(
            Restoration(
                tenant=tenant,
                generation=item.generation,
                links=item.resource.tenant.unlinked_by_kill,
                services=services,
                regions=regions,
            )
        )

    async def look(self, found: Approval) -> None:
        """Nothing: of another generation than it says, the tenant is not restored."""

    async def carry_out(self, change: Tenancy, found: Approval, action: Action) -> None:
        """Restore the tenant, unless it has changed since; a Link stays unlinked whose key is not the tenant's now."""
        asked = found.restoration
        stored = await change.locked(asked.tenant)
        item = _killed(stored, asked.tenant)
        if item.generation != asked.generation:
            raise Precondition(
                f"{asked.tenant} has changed since this was asked (generation {asked.generation}, now "
                f"{item.generation}); ask again",
                reason="STALE_GENERATION",
            )
        links = set(asked.links) - await _unowned(change, stored, asked.links)
        await change.drive(action, restored(stored, links), Empty())


async def _unowned(change: Tenancy, stored: Mapping[str, Stored], links: Collection[str]) -> set[str]:
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
        raise NotFound(f"No tenant {tenant!r}", reason="UNKNOWN_TENANT", field="restore_tenant")
    if item.resource.retired:
        raise Precondition(f"The tenant {tenant!r} was retired", reason="RETIRED", field="restore_tenant")
    if item.resource.tenant.state != TenantState.TENANT_STATE_KILLED:
        raise Precondition(f"The tenant {tenant!r} is not killed", reason="NOT_KILLED", field="restore_tenant")
    return item
