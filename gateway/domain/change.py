"""What a declaration changes: generations, effects and placements, worked out without touching anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orbital.v1.registry_pb2 import Change, ChangeAction, FieldChange
from orbital.v1.resource_pb2 import Resource, ServiceSpec, SystemSpec

from gateway.domain import links
from gateway.domain.edge import written
from gateway.domain.holdings import Floor, begin_above
from gateway.domain.placement import PlacementResolver
from gateway.domain.resource import normalize, parse_name, tenant_of
from gateway.domain.stored import DesiredResource, Stored, tombstone
from runtime.errors import Invalid, OrbitalError, Precondition
from runtime.keystates import follows, state_name, state_of

NO_FLOORS: Mapping[str, Floor] = {}
# Changes of these have an effect on key material or on the permission to use it; others are metadata.
EFFECTS = (".key_version", "link.state", "link.provider", "link.key")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to store, and where each resource belongs afterwards."""

    changes: list[Change] = field(default_factory=list)
    wanted: list[DesiredResource] = field(default_factory=list)
    # Full name → regions, for every resource whose placements may change.
    regions: dict[str, frozenset[str]] = field(default_factory=dict)
    # Full name → regions that it leaves; see gateway.domain.departure.
    leaves: dict[str, frozenset[str]] = field(default_factory=dict)


def plan(
    declared: Sequence[Resource],
    stored: Mapping[str, Stored],
    labels: Mapping[str, Mapping[str, str]],
    floors: Mapping[str, Floor] = NO_FLOORS,
) -> Plan:
    """What declaring these resources would change.

    `stored` holds every stored resource of the tenants touched (all of them when a region is declared), every Link that
    names an L1 key of the declared ones, and all regions, by full name; `labels` those of the stored regions; `floors`
    what regions hold under names that are not stored. Raises Invalid, NotFound, Precondition or Conflict naming
    `resources[N].…`.
    """
    result = Plan()
    estate = {name: item.resource for name, item in stored.items()}
    seen: dict[str, int] = {}
    fresh = dict(labels)
    plain: list[Resource] = []
    begins: dict[str, int] = {}
    for index, resource in enumerate(declared):
        plain.append(_admit(resource, index, seen, stored))
        if resource.name not in stored:
            begins[resource.name] = begin_above(plain[-1], floors.get(resource.name), f"resources[{index}]")
        estate[resource.name] = plain[-1]
        if plain[-1].WhichOneof("spec") == "region":
            fresh[parse_name(resource.name).last] = dict(plain[-1].labels)
    gone = links.replaced(plain, stored)
    for item in gone:
        estate[item.resource.name] = tombstone(item).resource
    links.check_state(plain, estate)
    links.check_keys(plain, stored, estate)
    lost = {parse_name(name).last for name, one in estate.items() if one.HasField("region") and one.retired}
    resolver = PlacementResolver(estate, fresh, lost)
    for index, resource in enumerate(plain):
        _check_named(resource, lost, index)
    # First, so that the store sees a System without a Link before it sees the next one.
    for item in gone:
        retire_one(result, item, _regions(item.resource, len(plain), resolver))
    for index, resource in enumerate(plain):
        regions = _regions(resource, index, resolver)
        change, wanted = _compare(resource, stored.get(resource.name), len(regions), begins.get(resource.name, 1))
        result.changes.append(change)
        if wanted is not None:
            result.wanted.append(wanted)
        result.regions[resource.name] = regions
    _spread(result, {*seen, *(item.resource.name for item in gone)}, estate, resolver)
    return result


def retire_one(result: Plan, item: Stored, regions: frozenset[str]) -> None:
    """Add to the plan that a resource becomes a tombstone, in these regions."""
    wanted = tombstone(item)
    change = Change(
        name=wanted.resource.name,
        action=ChangeAction.CHANGE_ACTION_UPDATE,
        from_generation=item.generation,
        to_generation=wanted.generation,
        fields=[FieldChange(path="retired", after="true")],
        regions=len(regions),
    )
    result.changes.append(change)
    result.wanted.append(wanted)
    result.regions[wanted.resource.name] = regions


def _admit(resource: Resource, index: int, seen: dict[str, int], stored: Mapping[str, Stored]) -> Resource:
    where = f"resources[{index}]"
    plain = normalize(resource, where)
    if resource.name in seen:
        raise Invalid(
            f"{where}.name: {resource.name} is declared twice, first as resources[{seen[resource.name]}]",
            reason="DUPLICATE",
            field=f"{where}.name",
        )
    seen[resource.name] = index
    before = stored.get(resource.name)
    if resource.generation and (before is None or before.generation != resource.generation):
        now = before.generation if before else 0
        raise Precondition(
            f"{where}.generation: {resource.name} is at generation {now}, not {resource.generation}; read it again",
            reason="STALE_GENERATION",
            field=f"{where}.generation",
        )
    # A region that is declared anew begins empty, and enrols anew.
    if before is not None and before.resource.retired and plain.WhichOneof("spec") != "region":
        raise Precondition(
            f"{where}.name: {resource.name} was retired; its name is not used again",
            reason="RETIRED",
            field=f"{where}.name",
        )
    if before is not None:
        _check_transition(before.resource, plain, where)
    return plain


def _check_transition(before: Resource, after: Resource, where: str) -> None:
    spec = after.WhichOneof("spec")
    if spec == "tenant":
        after.tenant.state = before.tenant.state
        after.tenant.unlinked_by_kill.extend(before.tenant.unlinked_by_kill)
    elif spec in ("system", "service"):
        old, new = getattr(before, spec).key_version, getattr(after, spec).key_version
        if new < old:
            raise Invalid(
                f"{where}.{spec}.key_version is {new}, but {after.name} is at {old}; versions only grow",
                reason="VERSION_SHRINKS",
                field=f"{where}.{spec}.key_version",
            )
        _check_compromised(getattr(before, spec).key_compromised_below, old, getattr(after, spec), f"{where}.{spec}")
    elif spec == "link":
        _check_link(before, after, where)


def _check_compromised(below: int, version: int, after: SystemSpec | ServiceSpec, where: str) -> None:
    field = f"{where}.key_compromised_below"
    if after.key_compromised_below == 0:
        # Left out, it stays: what is compromised is never good again.
        after.key_compromised_below = below
    for number in range(1, version + 1):
        old = state_of(number, version, below, linked=True)
        new = state_of(number, after.key_version, after.key_compromised_below, linked=True)
        if not follows(old, new):
            raise Invalid(
                f"{field} is {after.key_compromised_below}, but it was {below}; it only grows: version {number} cannot "
                f"go from {state_name(old)} to {state_name(new)}",
                reason="VERSION_SHRINKS",
                field=field,
            )
    raised = after.key_version > version and after.key_compromised_below == after.key_version
    if after.key_compromised_below > below and not raised:
        raise Invalid(
            f"{field}: an emergency rotation raises key_version, which is {version}, and {field} to the same number",
            reason="INVALID_VERSION",
            field=field,
        )


def _check_link(before: Resource, after: Resource, where: str) -> None:
    # Another L1, or another provider, rotates the L1: the material stays, and is wrapped anew.
    if before.link.system != after.link.system:
        raise Precondition(
            f"{where}.link.system: a link keeps its system; {after.name} has {before.link.system!r}",
            reason="IMMUTABLE",
            field=f"{where}.link.system",
        )


def _check_named(resource: Resource, lost: Collection[str], index: int) -> None:
    """Raise Precondition for the name of a region that is gone for good."""
    spec = str(resource.WhichOneof("spec"))
    named = getattr(getattr(resource, spec), "placement", None)
    for number, region in enumerate(named.regions if named is not None else ()):
        if region in lost:
            where = f"resources[{index}].{spec}.placement.regions[{number}]"
            raise Precondition(
                f"{where}: region {region!r} is gone for good; leave it out, or declare the region anew",
                reason="REGION_RETIRED",
                field=where,
            )


def _regions(resource: Resource, index: int, resolver: PlacementResolver) -> frozenset[str]:
    if resource.WhichOneof("spec") == "region":
        return frozenset()
    found = resolver.regions_of(resource, f"resources[{index}]")
    if not found:
        raise resolver.nowhere(resource, f"resources[{index}]")
    return found


def _compare(
    after: Resource, before: Stored | None, regions: int, begins: int
) -> tuple[Change, DesiredResource | None]:
    if before is None:
        change = Change(
            name=after.name, action=ChangeAction.CHANGE_ACTION_CREATE, to_generation=begins, regions=regions
        )
        return change, DesiredResource(after, begins, begins)
    change = Change(
        name=after.name, from_generation=before.generation, to_generation=before.generation, regions=regions
    )
    change.fields.extend(field_changes(before.resource, after))
    if before.resource.retired:
        change.fields.append(FieldChange(path="retired", before="true"))
    if not change.fields and before.resource != after:
        # Whatever differs is a difference, even where nothing above has words for it.
        change.fields.add(path=str(after.WhichOneof("spec")), before="stored", after="declared")
    if not change.fields:
        change.action = ChangeAction.CHANGE_ACTION_NONE
        return change, None
    change.action = ChangeAction.CHANGE_ACTION_UPDATE
    change.to_generation = before.generation + 1
    effective = any(item.path.endswith(EFFECTS) for item in change.fields)
    return change, DesiredResource(
        after, change.to_generation, change.to_generation if effective else before.effect_generation
    )


def field_changes(before: Resource, after: Resource) -> list[FieldChange]:
    """The fields that differ, by path, with their values as people write them."""
    old, new = _flat(before), _flat(after)
    return [
        FieldChange(path=path, before=old.get(path, ""), after=new.get(path, ""))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _flat(resource: Resource) -> dict[str, str]:
    spec = str(resource.WhichOneof("spec"))
    flat = {f"labels[{key}]": value for key, value in resource.labels.items()}
    for field_descriptor, value in getattr(resource, spec).ListFields():
        path = f"{spec}.{field_descriptor.name}"
        if field_descriptor.name == "placement":
            flat |= {f"{path}.regions[{name}]": name for name in value.regions}
            flat |= {f"{path}.match_labels[{key}]": text for key, text in value.match_labels.items()}
        elif field_descriptor.name == "shared_with":
            flat |= {f"{path}[{name}]": name for name in value}
        elif field_descriptor.name == "rules":
            flat |= {f"{path}[{name}]": text for name, text in written(value).items()}
        elif field_descriptor.enum_type is not None:
            flat[path] = field_descriptor.enum_type.values_by_number[value].name.rpartition("_")[2].lower()
        elif field_descriptor.name == "lease":
            part = f".{value.nanos:09d}".rstrip("0") if value.nanos else ""
            flat[path] = f"{value.seconds}{part}s"
        else:
            flat[path] = str(value)
    return flat


def _spread(result: Plan, seen: Collection[str], estate: Mapping[str, Resource], resolver: PlacementResolver) -> None:
    """Find where undeclared resources belong now: a changed selector or region moves those below it."""
    moved = {
        tenant_of(item.resource.name)
        for item in result.wanted
        if item.resource.WhichOneof("spec") in ("tenant", "system")
    }
    everything = any(item.resource.WhichOneof("spec") == "region" for item in result.wanted)
    for name, resource in estate.items():
        if name in seen or resource.retired or resource.WhichOneof("spec") == "region":
            continue
        if everything or tenant_of(name) in moved:
            result.regions[name] = _still(name, resource, resolver)


def _still(name: str, resource: Resource, resolver: PlacementResolver) -> frozenset[str]:
    """Where a resource that is not declared now belongs; raises Precondition if the declaration would break it."""
    try:
        return resolver.regions_of(resource, name)
    except OrbitalError as error:
        raise Precondition(
            f"This would break {name}, which is declared already: {error.message}",
            reason="BREAKS_DECLARED",
            field="resources",
        ) from error
