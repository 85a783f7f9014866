"""Stage 1, desired: intent is accepted, versioned and stored in one transaction with its correlation ID."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orbital.v1.registry_pb2 import (
    DeclareRequest,
    DeclareResponse,
    KillRequest,
    KillResponse,
    RetireRequest,
    RetireResponse,
)
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.domain import links
from gateway.domain.fuse import Fuse, check_accepted
from gateway.domain.restore import killed
from gateway.domain.stored import Stored
from gateway.flow.approval import MAX_REASON, keep
from gateway.flow.contended import whole
from gateway.flow.plans import Planned, declaration, retirement
from gateway.flow.removal import removal_of
from gateway.ports.serving import Caller
from gateway.ports.store import Action, DesiredStore, Estate, Tenancy
from runtime.errors import NotFound, Precondition
from runtime.fields import check_length, check_name

MAX_RESOURCES = 5000  # of one declaration, which is one transaction
MAX_REQUEST_ID = 128  # characters of what a client makes up
MAX_RETIRED = 1000  # of one retirement, which is one transaction


class DeclarationFlow:
    """Accepts declarations, retirements and kills; `fuse` says how much one person may take away."""

    def __init__(self, store: DesiredStore, new_correlation_id: Callable[[], str], fuse: Fuse | None = None) -> None:
        self._store = store
        self._new_correlation_id = new_correlation_id
        self._fuse = fuse or Fuse()

    @whole
    async def declare(self, request: DeclareRequest, caller: Caller) -> DeclareResponse:
        """Store all of it or nothing; raises Invalid, NotFound, Precondition or Conflict naming the field.

        What takes more than the fuse out of regions is kept, and done once another person approves.
        """
        check_length(len(request.resources), 1, MAX_RESOURCES, "resources", "items")
        check_length(len(request.request_id), 0, MAX_REQUEST_ID, "request_id")
        check_length(len(request.reason.strip()), 0, MAX_REASON, "reason")
        async with self._store.declaring() as estate:
            known = await estate.answered(caller.principal, request.request_id, "declare")
            if known is not None:
                return DeclareResponse.FromString(known)
            planned = await declaration(estate, request)
            answer = planned.answer
            answer.needs_approval = self._fuse.blows(planned.removal)
            if request.validate_only or not planned.plan.wanted:
                return answer
            if answer.needs_approval:
                check_accepted(planned.removal, request.accept_departures)
                check_length(len(request.reason.strip()), 1, MAX_REASON, "reason")
                answer.approval_id = await self._ask(estate, planned, request, caller)
                return answer
            detail = f"{len(planned.plan.wanted)} of {len(request.resources)} resources changed"
            await planned.save(estate, self._action(caller, "declare", detail, request.request_id))
            return answer

    @whole
    async def retire(self, request: RetireRequest, caller: Caller) -> RetireResponse:
        """Make tombstones of the resources named and of all beneath them; what is retired already does not change.

        What takes away more than the fuse is kept, and done once another person approves.
        """
        check_length(len(request.names), 1, MAX_RETIRED, "names", "items")
        check_length(len(request.request_id), 0, MAX_REQUEST_ID, "request_id")
        if not request.validate_only:
            check_length(len(request.reason.strip()), 1, MAX_REASON, "reason")
        async with self._store.declaring() as estate:
            known = await estate.answered(caller.principal, request.request_id, "retire")
            if known is not None:
                return RetireResponse.FromString(known)
            planned = await retirement(estate, request)
            answer = planned.answer
            answer.needs_approval = self._fuse.blows(planned.removal)
            if request.validate_only or not planned.plan.wanted:
                return answer
            if answer.needs_approval:
                answer.approval_id = await self._ask(estate, planned, request, caller)
                return answer
            await planned.save(estate, self._action(caller, "retire", request.reason.strip(), request.request_id))
            return answer

    @whole
    async def kill(self, request: KillRequest, caller: Caller) -> KillResponse:
        """Unlink one Link of a tenant, or every one, in every region; killing what is killed changes nothing."""
        check_name(request.tenant, "tenant")
        if request.link:
            check_name(request.link, "link")
        check_length(len(request.request_id), 0, MAX_REQUEST_ID, "request_id")
        if not request.validate_only:
            check_length(len(request.reason.strip()), 1, 500, "reason")
        async with self._store.killing() as tenancy:
            what = f"kill {request.tenant}/{request.link}" if request.link else f"kill {request.tenant}"
            known = await tenancy.answered(caller.principal, request.request_id, what)
            if known is not None:
                return KillResponse.FromString(known)
            held = await tenancy.locked(request.tenant)
            aimed = _aimed(held, request)
            own = [item.resource for item in aimed.values() if item.resource.HasField("link")]
            also = await _revoked_with(tenancy, own, held)
            system = f"tenants/{request.tenant}/systems/{own[0].link.system}" if request.link else ""
            services, regions = await tenancy.reach(request.tenant, system)
            answer = KillResponse(services=services, regions=regions, links=len(own), shared_links=sorted(also))
            answer.lost_regions.extend(await tenancy.lost(request.tenant))
            answer.already_killed = _is_killed(aimed[_target(request)].resource)
            if request.validate_only or answer.already_killed:
                return answer
            action = self._action(caller, what, request.reason.strip(), request.request_id)
            answer.correlation_id = action.correlation_id
            await tenancy.drive(action, killed({**aimed, **also}), answer)
            return answer

    async def _ask(
        self, estate: Estate, planned: Planned[Any], request: DeclareRequest | RetireRequest, caller: Caller
    ) -> str:
        found, waiting = removal_of(planned, request, caller, self._new_correlation_id)
        return await keep(estate.approvals, found, waiting, self._fuse.seconds)

    def _action(self, caller: Caller, action: str, detail: str, request_id: str) -> Action:
        identity = caller.correlation_id or self._new_correlation_id()
        return Action(identity, caller.principal, action, detail, caller.decision_id, request_id)


def _aimed(stored: Mapping[str, Stored], request: KillRequest) -> Mapping[str, Stored]:
    """What a kill changes, by full name: the tenant and all its Links, or the one Link."""
    tenant = stored.get(f"tenants/{request.tenant}")
    if tenant is None:
        raise NotFound(f"No tenant {request.tenant!r}", reason="UNKNOWN_TENANT", field="tenant")
    if tenant.resource.retired:
        raise Precondition(f"The tenant {request.tenant!r} was retired", reason="RETIRED", field="tenant")
    lives = {key: item for key, item in stored.items() if not item.resource.retired}
    if not request.link:
        return lives
    link = lives.get(_target(request))
    if link is None:
        message = f"The tenant {request.tenant!r} has no link {request.link!r}"
        raise NotFound(message, reason="UNKNOWN_LINK", field="link")
    return {_target(request): link}


async def _revoked_with(
    tenancy: Tenancy, aimed: Sequence[Resource], held: Mapping[str, Stored]
) -> Mapping[str, Stored]:
    """The Links of other tenants that lose their key with these, locked, by full name."""
    shared = sorted({tenant for link in aimed for tenant in link.link.shared_with})
    if not shared:
        return {}
    others = await tenancy.links_of(shared)
    lives = [item.resource for item in held.values() if item.resource.HasField("link")]
    return {name: others[name] for name in links.revoked_with(aimed, lives, [one.resource for one in others.values()])}


def _target(request: KillRequest) -> str:
    return f"tenants/{request.tenant}" + (f"/links/{request.link}" if request.link else "")


def _is_killed(resource: Resource) -> bool:
    if resource.HasField("tenant"):
        return resource.tenant.state == TenantState.TENANT_STATE_KILLED
    return resource.link.state == LinkState.LINK_STATE_UNLINKED
