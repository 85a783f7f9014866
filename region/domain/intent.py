"""What a task needs done, judged by the level it wants and not by the edge it was made for.

A task carries the whole desired state. Its kind says why it was made; tasks in between may have been superseded. So a
change of labels that overtook the definition of a key defines the key.
"""

from __future__ import annotations

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import edge
from region.domain.keys import DEPARTED, State
from region.domain.names import Kind, Name
from region.domain.work import Held
from runtime.errors import Invalid
from runtime.keystates import MOST_VERSIONS
from runtime.kinds import ABOUT, RETIRING

SPECS = {
    Kind.TENANT: "tenant",
    Kind.SYSTEM: "system",
    Kind.SERVICE: "service",
    Kind.LINK: "link",
    Kind.EDGE_POLICY: "edge_policy",
}
KINDS = {kind: {number for number, specs in ABOUT.items() if spec in specs} for kind, spec in SPECS.items()}
# What a region held of a key before it left, or was purged.
TOMBSTONE = str(State.DESTROYED)


def check(task: pb.Task, name: Name) -> None:
    """Raise Invalid when the task contradicts itself: kind, name, spec, tenant, generation."""
    resource = task.resource
    if resource.WhichOneof("spec") != SPECS[name.kind]:
        raise Invalid(f"The spec of {resource.name} is not that of a {name.kind}", reason="INVALID_TASK", field="spec")
    if task.kind not in KINDS[name.kind]:
        raise Invalid(f"{kind_name(task.kind)} does not apply to a {name.kind}", reason="INVALID_TASK", field="kind")
    if name.tenant != task.tenant:
        raise Invalid(f"{resource.name} is not of tenant {task.tenant!r}", reason="INVALID_TASK", field="tenant")
    if not resource.generation:
        raise Invalid(f"{resource.name} has no generation", reason="INVALID_TASK", field="generation")
    if wanted_version(resource) > MOST_VERSIONS:
        raise Invalid(f"key_version is above {MOST_VERSIONS}", reason="INVALID_TASK", field="spec.key_version")
    if compromised_below(resource) > wanted_version(resource):
        raise Invalid("The newest version would be COMPROMISED", reason="INVALID_TASK", field="spec")
    _check_spec(task, name)


def _check_spec(task: pb.Task, name: Name) -> None:
    resource = task.resource
    if task.kind in RETIRING and not resource.retired:
        raise Invalid(f"{kind_name(task.kind)} of what is not retired", reason="INVALID_TASK", field="kind")
    if name.kind is Kind.EDGE_POLICY:
        edge.check(resource.edge_policy)
    if name.kind is Kind.LINK:
        name.system_of(resource.link.system or "?")
        unlinked = resource.link.state == rpb.LINK_STATE_UNLINKED
        if task.kind == pb.TASK_KIND_LINK_KEY and unlinked:
            raise Invalid("LINK_KEY with the state UNLINKED", reason="INVALID_TASK", field="spec.state")


def needed(task: pb.Task, name: Name, held: Held | None) -> pb.TaskKind.ValueType:
    """The kind of work that brings the region to the task's level; SYNC_METADATA when no key is touched."""
    if task.kind != pb.TASK_KIND_SYNC_METADATA:
        return task.kind
    match name.kind:
        case Kind.TENANT:
            return _tenant(task.resource, held)
        case Kind.LINK:
            linked = task.resource.link.state == rpb.LINK_STATE_LINKED
            return pb.TASK_KIND_LINK_KEY if linked else pb.TASK_KIND_UNLINK_KEY
        case _:
            if held is None or held.state == TOMBSTONE:
                return pb.TASK_KIND_DEFINE_KEY
            if held.version < wanted_version(task.resource):
                return pb.TASK_KIND_ROTATE_KEY
            return pb.TASK_KIND_SYNC_METADATA


def _tenant(resource: rpb.Resource, held: Held | None) -> pb.TaskKind.ValueType:
    if resource.tenant.state == rpb.TENANT_STATE_KILLED:
        killed = held is not None and held.state == "KILLED"
        return pb.TASK_KIND_SYNC_METADATA if killed else pb.TASK_KIND_UNLINK_KEY
    if (
        held is None
        or held.state == DEPARTED
        or rpb.Resource.FromString(held.body).tenant.lease != resource.tenant.lease
    ):
        return pb.TASK_KIND_DEFINE_TENANT
    return pb.TASK_KIND_SYNC_METADATA


def wanted_version(resource: rpb.Resource) -> int:
    """The key version that a System or Service wants, from 1; 0 for what has no key."""
    match resource.WhichOneof("spec"):
        case "system":
            return max(1, resource.system.key_version)
        case "service":
            return max(1, resource.service.key_version)
        case _:
            return 0


def compromised_below(resource: rpb.Resource) -> int:
    """Versions under this one are COMPROMISED; 0 when none is."""
    match resource.WhichOneof("spec"):
        case "system":
            return resource.system.key_compromised_below
        case "service":
            return resource.service.key_compromised_below
        case _:
            return 0


def kind_name(kind: int) -> str:
    """LINK_KEY for TASK_KIND_LINK_KEY, as the policies write it."""
    number = pb.TaskKind.Name(pb.TaskKind.ValueType(kind)) if kind in pb.TaskKind.values() else f"UNKNOWN_{kind}"
    return number.removeprefix("TASK_KIND_")
