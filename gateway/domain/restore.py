"""Kill and restoration of a tenant: the next generations of the tenant and of its Links."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.domain.resource import parse_name, tenant_of
from gateway.domain.stored import DesiredResource, Stored

LINKED, UNLINKED = LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED


def killed(stored: Mapping[str, Stored]) -> dict[int, DesiredResource]:
    """The tenant and its Links, or Links alone, by identity: killed, remembering which were linked; and unlinked.

    Links of other tenants that lose their key with it are among them; the tenant does not remember those.
    """
    result: dict[int, DesiredResource] = {}
    for item in stored.values():
        after = _copy(item)
        if after.HasField("tenant"):
            after.tenant.state = TenantState.TENANT_STATE_KILLED
            after.tenant.unlinked_by_kill[:] = sorted(
                parse_name(name).last
                for name, other in stored.items()
                if other.resource.link.state == LINKED and tenant_of(name) == after.name
            )
        else:
            after.link.state = UNLINKED
        result[item.identity] = _next(after, item)
    return result


def restored(stored: Mapping[str, Stored], links: Collection[str]) -> dict[int, DesiredResource]:
    """The tenant, active, and those of these Links that are still there, linked, by identity."""
    result: dict[int, DesiredResource] = {}
    for item in stored.values():
        after = _copy(item)
        if after.HasField("tenant"):
            after.tenant.state = TenantState.TENANT_STATE_ACTIVE
            after.tenant.ClearField("unlinked_by_kill")
        elif parse_name(after.name).last in links and not after.retired:
            after.link.state = LINKED
        else:
            continue
        result[item.identity] = _next(after, item)
    return result


def _copy(item: Stored) -> Resource:
    after = Resource()
    after.CopyFrom(item.resource)
    return after


def _next(after: Resource, before: Stored) -> DesiredResource:
    return DesiredResource(after, before.generation + 1, before.generation + 1)
