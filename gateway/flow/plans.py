"""What a declaration or a retirement would do, worked out on the desired state of one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from orbital.v1.approval_pb2 import Removal
from orbital.v1.registry_pb2 import DeclareRequest, DeclareResponse, RetireRequest, RetireResponse
from orbital.v1.resource_pb2 import Resource

from gateway.domain import fuse, links
from gateway.domain.change import Plan, plan
from gateway.domain.departure import Places, move
from gateway.domain.resource import parse_name
from gateway.domain.retire import retire
from gateway.domain.stored import Stored
from gateway.ports.store import Action, Estate

Answer = TypeVar("Answer", DeclareResponse, RetireResponse)


@dataclass(frozen=True, slots=True)
class Planned(Generic[Answer]):
    """A plan with all that it is about, what it takes away, and the answer that tells of it."""

    plan: Plan
    stored: Mapping[str, Stored]
    places: Places
    removal: Removal
    answer: Answer

    async def save(self, estate: Estate, action: Action) -> None:
        """Carry it out under this action."""
        self.answer.correlation_id = action.correlation_id
        await estate.save(action, self.plan, self.stored, self.answer, self.places)


async def declaration(estate: Estate, request: DeclareRequest) -> Planned[DeclareResponse]:
    """What declaring would change; raises Invalid, NotFound, Precondition or Conflict naming the field."""
    stored, changes = await _declared(estate, request.resources)
    places = await estate.places(changes.regions, stored)
    answer = DeclareResponse(departures=move(changes, stored, places), changes=changes.changes)
    return Planned(changes, stored, places, fuse.departures(changes, places), answer)


async def retirement(estate: Estate, request: RetireRequest) -> Planned[RetireResponse]:
    """What retiring would change; raises Invalid, NotFound or Precondition naming the field."""
    tenants = {parse_name(name, f"names[{index}]").tenant for index, name in enumerate(request.names)}
    stored = await estate.resources(sorted(tenants))
    named = links.keys_of(item.resource for item in stored.values())
    regions = [parse_name(name).last for name in request.names if parse_name(name).spec == "region"]
    all_of_it = {**stored, **await estate.holders(named), **(await estate.regions() if regions else {})}
    occupied = await estate.occupied(regions)
    changes = retire(request.names, all_of_it, await estate.placed(stored), occupied)
    places = await estate.places(changes.regions, all_of_it)
    removal = fuse.retirements(changes, stored)
    return Planned(changes, all_of_it, places, removal, RetireResponse(changes=changes.changes))


async def _declared(estate: Estate, declared: Sequence[Resource]) -> tuple[Mapping[str, Stored], Plan]:
    names = [parse_name(resource.name, f"resources[{index}].name") for index, resource in enumerate(declared)]
    regions = await estate.regions()
    everything = any(name.spec == "region" for name in names)
    tenants = None if everything else sorted({name.tenant for name in names})
    named = links.keys_of(declared)
    stored = {**regions, **await estate.resources(tenants)}
    # What a Link is changed from matters as much as what it is changed to.
    named |= links.keys_of(stored[one.name].resource for one in declared if one.name in stored)
    stored |= await estate.holders(named)
    labels = {
        name.rpartition("/")[2]: dict(item.resource.labels)
        for name, item in regions.items()
        if not item.resource.retired
    }
    floors = await estate.floors([one.name for one in declared if one.name not in stored])
    return stored, plan(declared, stored, labels, floors)
