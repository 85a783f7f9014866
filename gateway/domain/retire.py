"""Retirement: what goes with a Tenant, a System or a Service, children first; an edge policy goes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orbital.v1.registry_pb2 import Change, ChangeAction, FieldChange
from orbital.v1.resource_pb2 import LinkState, Resource

from gateway.domain.change import Plan, Stored, Wanted
from gateway.domain.resource import parent_of, parse_name
from runtime.errors import Invalid, NotFound

RETIRABLE = ("tenant", "system", "service", "edge_policy")
# A Link is revoked on its own lane; a System is purged once its Services are, and a Tenant is the last.
ORDER = ("link", "service", "system", "tenant", "edge_policy")


def retire(names: Sequence[str], stored: Mapping[str, Stored], regions: Mapping[str, frozenset[str]]) -> Plan:
    """What retiring these resources would change, everything beneath them included.

    `stored` holds every resource of the tenants named, `regions` where each is placed. What is retired already is left
    out. Raises Invalid or NotFound naming `names[N]`.
    """
    reached: set[str] = set()
    for index, name in enumerate(names):
        field = f"names[{index}]"
        if parse_name(name, field).spec not in RETIRABLE:
            raise Invalid(f"{field} is {name!r}; expected one of {', '.join(RETIRABLE)}", field=field)
        if name not in stored:
            raise NotFound(f"{field}: {name} is not declared", reason="UNKNOWN_RESOURCE", field=field)
        reached |= {below for below, item in stored.items() if _beneath(below, item.resource, name)}
    gone = [stored[name] for name in reached if not stored[name].resource.retired]
    gone.sort(key=lambda item: (ORDER.index(str(item.resource.WhichOneof("spec"))), item.resource.name))
    result = Plan()
    for item in gone:
        after = _tombstone(item.resource)
        places = regions.get(after.name, frozenset())
        generation = item.generation + 1
        change = Change(
            name=after.name,
            action=ChangeAction.CHANGE_ACTION_UPDATE,
            from_generation=item.generation,
            to_generation=generation,
            fields=[FieldChange(path="retired", after="true")],
            regions=len(places),
        )
        result.changes.append(change)
        result.wanted.append(Wanted(after, generation, generation))
        result.regions[after.name] = places
    return result


def _beneath(name: str, resource: Resource, top: str) -> bool:
    """True for the resource itself, what its name contains, and the Links of a System."""
    return name == top or name.startswith(f"{top}/") or parent_of(resource) == top


def _tombstone(before: Resource) -> Resource:
    after = Resource()
    after.CopyFrom(before)
    after.retired = True
    if after.WhichOneof("spec") == "link":
        after.link.state = LinkState.LINK_STATE_UNLINKED
    return after
