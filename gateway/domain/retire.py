"""Retirement: what goes with a Tenant, a System or a Service, children first; Links and edge policies go alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orbital.v1.resource_pb2 import Resource

from gateway.domain import links
from gateway.domain.change import Plan, retire_one
from gateway.domain.resource import parent_of, parse_name
from gateway.domain.stored import Stored
from runtime.errors import Invalid, NotFound, Precondition

RETIRABLE = ("tenant", "system", "service", "link", "edge_policy", "region")
# A Link is revoked on its own lane; a System is purged once its Services are, and a Tenant is the last.
ORDER = ("link", "service", "system", "tenant", "edge_policy", "region")


def retire(
    names: Sequence[str],
    stored: Mapping[str, Stored],
    regions: Mapping[str, frozenset[str]],
    occupied: Mapping[str, int] | None = None,
) -> Plan:
    """What retiring these resources would change, everything beneath them included.

    `stored` holds every resource of the tenants named, and every Link that names an L1 key of theirs, the oldest first;
    `regions` says where each is placed, `occupied` how much stands in each region that is named. What is retired
    already is left out. Raises Invalid or NotFound naming `names[N]`, and Precondition when a Link of another tenant's
    would be left with a key that was shared with it, or a region is not empty.
    """
    reached: set[str] = set()
    for index, name in enumerate(names):
        field = f"names[{index}]"
        if parse_name(name, field).spec not in RETIRABLE:
            raise Invalid(f"{field} is {name!r}; expected one of {', '.join(RETIRABLE)}", field=field)
        if name not in stored:
            raise NotFound(f"{field}: {name} is not declared", reason="UNKNOWN_RESOURCE", field=field)
        _check_empty(name, occupied or {}, field)
        reached |= {below for below, item in stored.items() if _beneath(below, item.resource, name)}
    gone = [stored[name] for name in reached if not stored[name].resource.retired]
    gone.sort(key=lambda item: (ORDER.index(str(item.resource.WhichOneof("spec"))), item.resource.name))
    result = Plan()
    for item in gone:
        retire_one(result, item, regions.get(item.resource.name, frozenset()))
    after = {wanted.resource.name: wanted.resource for wanted in result.wanted}
    links.check_left(
        links.holdings(item.resource for item in stored.values()),
        links.holdings(after.get(name, item.resource) for name, item in stored.items()),
    )
    return result


def _check_empty(name: str, occupied: Mapping[str, int], field: str) -> None:
    region = name.rpartition("/")[2]
    if name.startswith("regions/") and occupied.get(region):
        raise Precondition(
            f"{field}: {occupied[region]} placements stand in {name}. Let them leave it (leave it out of their "
            f"placement), or, if it is gone for good, take it out: orbital region decommission {region} --reason TEXT",
            reason="REGION_NOT_EMPTY",
            field=field,
        )


def _beneath(name: str, resource: Resource, top: str) -> bool:
    """True for the resource itself, what its name contains, and the Links of a System."""
    return name == top or name.startswith(f"{top}/") or parent_of(resource) == top
