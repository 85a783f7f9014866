"""What a region holds against what is declared for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orbital.v1.registry_pb2 import Placement
from orbital.v1.resource_pb2 import LINK_STATE_UNLINKED, TENANT_STATE_KILLED, Resource
from orbital.v1.verify_pb2 import HeldResource

# The states of a record that go with each wish; a tenant that was killed and one that never was are told apart.
TOMBSTONES = {"DESTROYED", "RETIRED", "DEPARTED"}
# What may be held of a resource that left the region: nothing that grants or opens anything.
LEFT = TOMBSTONES | {"UNLINKED"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two parts that do not say the same of a resource."""

    resource: str
    reason: str
    message: str


def compare(
    placements: Iterable[Placement], resources: Iterable[Resource], held: Iterable[HeldResource]
) -> list[Disagreement]:
    """Everything that disagrees: within the region, and between it and what is declared."""
    wanted = {one.name: one for one in resources}
    holds = {one.name: one for one in held}
    placed = {one.resource: one for one in placements}
    found = [
        Disagreement(one.name, wrong.reason, wrong.message) for one in holds.values() for wrong in one.disagreements
    ]
    for name, placement in placed.items():
        found += _placed(placement, wanted.get(name), holds.get(name))
    for name, one in holds.items():
        # The placements of a tombstone that is everywhere are no longer listed.
        known = name in wanted and (wanted[name].retired or one.record_state in LEFT)
        if name not in placed and not known and not one.disagreements:
            found.append(Disagreement(name, "NOT_DECLARED", "The region holds it; it is not declared here."))
    return sorted(found, key=lambda one: (one.resource, one.reason))


def _placed(placement: Placement, resource: Resource | None, one: HeldResource | None) -> Iterator[Disagreement]:
    name = placement.resource
    if placement.observed_generation < placement.desired_generation:
        wanted = f"generation {placement.desired_generation} is declared, {placement.observed_generation} was reported"
        yield Disagreement(name, "BEHIND", f"{wanted[0].upper()}{wanted[1:]}: {placement.reason or 'under way'}.")
        return
    keyless = not name.startswith("tenants/")
    if one is None or not (one.record_generation or one.disagreements or keyless):
        yield Disagreement(name, "MISSING", "It is declared and was reported as done; the region does not hold it.")
        return
    if one.journal_generation and one.journal_generation != placement.observed_generation:
        said = f"The journal holds generation {one.journal_generation}, {placement.observed_generation} was reported."
        yield Disagreement(name, "GENERATION_WRONG", said)
    if one.record_generation > placement.desired_generation:
        said = f"The record is of generation {one.record_generation}, {placement.desired_generation} is declared."
        yield Disagreement(name, "GENERATION_WRONG", said)
    if resource is None:
        yield Disagreement(name, "NOT_DECLARED", "It is placed here; the control plane lists no such resource.")
    elif one.record_generation and not placement.leaving:
        for said in _against(resource, one):
            yield Disagreement(name, "STATE_WRONG", said)


def _against(resource: Resource, one: HeldResource) -> Sequence[str]:
    spec = resource.WhichOneof("spec")
    if resource.retired and spec != "link":
        return [] if one.record_state in TOMBSTONES else [f"It is retired; the region holds it as {one.record_state}."]
    if spec == "link":
        wish = "UNLINKED" if resource.link.state == LINK_STATE_UNLINKED else "LINKED"
        return [] if one.record_state == wish else [f"It is to be {wish}; the region holds it as {one.record_state}."]
    if spec == "tenant":
        killed = resource.tenant.state == TENANT_STATE_KILLED
        if killed == (one.record_state == "KILLED"):
            return []
        return [f"It is {'killed' if killed else 'not killed'}; the region holds it as {one.record_state}."]
    wanted = resource.system.key_version if spec == "system" else resource.service.key_version
    if one.key_versions != max(1, wanted):
        return [f"Key version {max(1, wanted)} is declared; the region has {one.key_versions}."]
    return []
