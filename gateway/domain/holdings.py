"""What regions hold by changes that the control plane has lost, because its database was restored from a backup."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from orbital.v1.dispatch_pb2 import HeldResources
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.domain.resource import parse_name, tenant_of
from gateway.domain.stored import DesiredResource, Stored
from runtime.content import check_content
from runtime.errors import Invalid, Precondition
from runtime.fields import check_length

MAX_HELD = 500  # resources of one page, which is one transaction
# A region that claims more than this beyond what is stored is not believed: generations are not used up by one word.
MOST_AHEAD = 1_000_000
KEYED = ("system", "service")


@dataclass(frozen=True, slots=True)
class Floor:
    """What regions hold under a name that the store does not know: the next generation is above it."""

    generation: int
    killed: bool = False
    retired: bool = False


@dataclass(slots=True)
class Adoption:
    """What to do about the holdings of a region.

    `revoked` are desired from now on, by a change of their own, and `raised` only get a higher generation, under the
    change that they have; both are by identity. `floors` are by name.
    """

    revoked: dict[int, DesiredResource] = field(default_factory=dict)
    raised: dict[int, DesiredResource] = field(default_factory=dict)
    floors: dict[str, Floor] = field(default_factory=dict)


def check_held(held: HeldResources) -> None:
    """Raise Invalid naming the field of a page that cannot be taken."""
    check_length(len(held.resources), 0, MAX_HELD, "resources", "items")
    check_content(held)
    for index, resource in enumerate(held.resources):
        name = parse_name(resource.name, f"resources[{index}].name")
        if name.spec != resource.WhichOneof("spec") or name.spec == "region":
            raise Invalid(f"resources[{index}] is no {name.spec}", field=f"resources[{index}].name")
        check_length(len(resource.correlation_id), 1, 64, f"resources[{index}].correlation_id")


def adopt(
    held: Iterable[Resource], stored: Mapping[str, Stored], placed: Collection[str], known: Collection[str]
) -> Adoption:
    """What follows from what one region holds.

    `placed` are the names that have, or had, a place in that region, and `known` the changes that the store knows: what
    a known change brought about needs nothing. A revocation by a lost change holds, whatever came later elsewhere.
    """
    found = Adoption()
    for resource in held:
        if resource.correlation_id in known:
            continue
        item = stored.get(resource.name)
        if item is None:
            if resource.generation <= MOST_AHEAD:
                found.floors[resource.name] = Floor(resource.generation, _is_killed(resource), resource.retired)
            continue
        if resource.name not in placed or resource.generation > item.generation + MOST_AHEAD:
            continue
        after, revokes = _with_revocations(item, resource)
        generation = max(item.generation, resource.generation) + 1
        if revokes:
            found.revoked[item.identity] = DesiredResource(after, generation, generation)
        elif resource.generation >= item.generation:
            found.raised[item.identity] = DesiredResource(after, generation, generation)
    _unlink_below(found, stored)
    return found


def _unlink_below(found: Adoption, stored: Mapping[str, Stored]) -> None:
    """A tenant that is killed again has no Link that is linked, whatever the region told of them."""
    killed = {item.resource.name for item in found.revoked.values() if _is_killed(item.resource)}
    for item in stored.values():
        spec = item.resource
        if not spec.HasField("link") or item.identity in found.revoked or tenant_of(spec.name) not in killed:
            continue
        if spec.retired or _is_unlinked(spec):
            continue
        before = found.raised.pop(item.identity, None)
        after = Resource()
        after.CopyFrom(spec)
        after.link.state = LinkState.LINK_STATE_UNLINKED
        generation = before.generation if before else item.generation + 1
        found.revoked[item.identity] = DesiredResource(after, generation, generation)


def _with_revocations(item: Stored, held: Resource) -> tuple[Resource, bool]:
    """What is desired once what the region holds revoked is revoked, and whether that differs from what is stored."""
    after = Resource()
    after.CopyFrom(item.resource)
    after.retired = item.resource.retired or held.retired
    revokes = after.retired != item.resource.retired
    if _is_killed(held) and not _is_killed(after):
        after.tenant.state = TenantState.TENANT_STATE_KILLED
        after.tenant.unlinked_by_kill[:] = held.tenant.unlinked_by_kill
        revokes = True
    if after.HasField("link") and (held.retired or _is_unlinked(held)) and not _is_unlinked(after):
        after.link.state = LinkState.LINK_STATE_UNLINKED
        revokes = True
    spec = str(after.WhichOneof("spec"))
    if spec in KEYED and held.WhichOneof("spec") == spec:
        ours, theirs = getattr(after, spec), getattr(held, spec)
        ours.key_version = max(ours.key_version, theirs.key_version)
        if theirs.key_compromised_below > max(ours.key_compromised_below, 1):
            ours.key_compromised_below = theirs.key_compromised_below
            revokes = True
    return after, revokes


def _is_killed(resource: Resource) -> bool:
    return resource.HasField("tenant") and resource.tenant.state == TenantState.TENANT_STATE_KILLED


def _is_unlinked(resource: Resource) -> bool:
    return resource.HasField("link") and resource.link.state == LinkState.LINK_STATE_UNLINKED


def begin_above(after: Resource, floor: Floor | None, where: str) -> int:
    """The generation with which a resource begins; what was killed under its name stays killed.

    Raises Precondition for a name that was retired.
    """
    if floor is None:
        return 1
    if floor.retired:
        raise Precondition(
            f"{where}.name: {after.name} was retired by a change that was lost since; its name is not used again",
            reason="RETIRED",
            field=f"{where}.name",
        )
    if floor.killed and after.HasField("tenant"):
        after.tenant.state = TenantState.TENANT_STATE_KILLED
    return floor.generation + 1
