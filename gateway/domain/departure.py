"""Departures: resources leave regions that their declaration no longer names, and come back to regions they had left.

Leaving is work, not absence: the region unlinks and purges what the resource had there, and proves it. Each departure
and each return is a generation of its own, so that the fences of a region tell what came last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orbital.v1.registry_pb2 import Change, ChangeAction, FieldChange
from orbital.v1.resource_pb2 import Resource
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.change import Plan
from gateway.domain.stored import DesiredResource, Stored
from gateway.domain.task import drive_kind, takes_back


@dataclass(frozen=True, slots=True)
class PlacementState:
    """One resource in one region as it is stored; `leaving` once it was told to leave, `gone` when it has left."""

    observed: int
    desired: int
    leaving: bool
    gone: bool = False


Places = Mapping[str, Mapping[str, PlacementState]]

LEAVING: dict[str, TaskKind.ValueType] = {
    "tenant": TaskKind.TASK_KIND_RETIRE_TENANT,
    "system": TaskKind.TASK_KIND_PURGE_KEY,
    "service": TaskKind.TASK_KIND_PURGE_KEY,
    "link": TaskKind.TASK_KIND_UNLINK_KEY,
    "edge_policy": TaskKind.TASK_KIND_SYNC_POLICY,
}


def leave_kind(resource: Resource) -> TaskKind.ValueType:
    """The kind of task by which a resource leaves a region."""
    return LEAVING[str(resource.WhichOneof("spec"))]


def move(plan: Plan, stored: Mapping[str, Stored], places: Places) -> int:
    """Complete a plan by what leaves regions and what comes back; returns how many placements leave.

    `places` holds where each resource of the plan is, or was.
    """
    wanted = {item.resource.name: item for item in plan.wanted}
    changes = {change.name: change for change in plan.changes}
    for name, regions in sorted(plan.regions.items()):
        here = places.get(name, {})
        if name in wanted and wanted[name].resource.retired:
            # A tombstone goes wherever the resource is, also where it is about to leave.
            plan.regions[name] = frozenset(region for region, place in here.items() if not place.gone)
            continue
        lost = sorted(region for region, place in here.items() if not place.leaving and region not in regions)
        back = sorted(region for region in regions if region in here and here[region].leaving)
        if not (lost or back):
            continue
        if name not in wanted:
            before = stored[name]
            wanted[name] = DesiredResource(before.resource, before.generation + 1, before.effect_generation)
            plan.wanted.append(wanted[name])
        change = changes.get(name) or _unchanged(plan, stored[name])
        change.action, change.to_generation = ChangeAction.CHANGE_ACTION_UPDATE, wanted[name].generation
        change.regions = len(regions)
        change.fields.extend(FieldChange(path=f"placement[{region}]", before=region) for region in lost)
        change.fields.extend(FieldChange(path=f"placement[{region}]", after=region) for region in back)
        plan.leaves[name] = frozenset(lost)
    return sum(map(len, plan.leaves.values()))


@dataclass(frozen=True, slots=True)
class Step:
    """What a placement is to reach next. `owes`: earlier changes may still want something of it."""

    name: str
    region: str
    kind: TaskKind.ValueType
    generation: int
    leaving: bool
    returns: bool
    owes: bool


def steps(plan: Plan, stored: Mapping[str, Stored], places: Places) -> list[Step]:
    """Each placement that is new, leaves, returns or has a new generation, in the order in which reports take them."""
    wanted = {item.resource.name: item for item in plan.wanted}
    found = []
    for name, regions in sorted(plan.regions.items()):
        here, target = places.get(name, {}), wanted.get(name) or stored[name]
        for region in sorted(regions if name in wanted else regions - here.keys()):
            place = here.get(region)
            back = place is not None and place.leaving and not target.resource.retired
            observed = None if place is None else 0 if back else place.observed
            kind = drive_kind(target.resource, target.effect_generation, observed)
            owes = place is not None and (back or place.desired > place.observed or bool(takes_back(kind)))
            found.append(Step(name, region, kind, target.generation, leaving=False, returns=back, owes=owes))
        kind = leave_kind(target.resource) if name in plan.leaves else TaskKind.TASK_KIND_UNSPECIFIED
        for region in sorted(plan.leaves.get(name, ())):
            owes = here[region].desired > here[region].observed
            found.append(Step(name, region, kind, target.generation, leaving=True, returns=False, owes=owes))
    return found


def _unchanged(plan: Plan, before: Stored) -> Change:
    plan.changes.append(Change(name=before.resource.name, from_generation=before.generation))
    return plan.changes[-1]
