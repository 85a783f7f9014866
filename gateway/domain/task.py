"""Tasks: discrete, idempotent, one per region, resource and generation."""

from __future__ import annotations

import hashlib
import uuid

from orbital.v1.resource_pb2 import LinkState, Resource, TenantState
from orbital.v1.task_pb2 import TaskKind

from runtime.kinds import REINSTATING


def takes_back(kind: int) -> tuple[TaskKind.ValueType, ...]:
    """The kinds of revocation that a task of this kind takes back."""
    return (TaskKind.TASK_KIND_UNLINK_KEY,) if kind in REINSTATING else ()


def task_id(resource: str, region: str, generation: int) -> uuid.UUID:
    """The ID of a task: making the task twice gives the same one, wherever it is made."""
    digest = hashlib.blake2b(f"{resource}\n{region}\n{generation}".encode(), digest_size=16).digest()
    return uuid.UUID(bytes=digest)


def effect_kind(resource: Resource, *, new: bool) -> TaskKind.ValueType:
    """The kind of task that brings an effect about: making the resource, or its last effective change."""
    spec = resource.WhichOneof("spec")
    if spec == "edge_policy":
        return TaskKind.TASK_KIND_SYNC_POLICY
    if resource.retired and spec != "link":
        return TaskKind.TASK_KIND_RETIRE_TENANT if spec == "tenant" else TaskKind.TASK_KIND_PURGE_KEY
    if spec == "tenant":
        killed = resource.tenant.state == TenantState.TENANT_STATE_KILLED
        return TaskKind.TASK_KIND_UNLINK_KEY if killed else TaskKind.TASK_KIND_DEFINE_TENANT
    if spec == "link":
        linked = resource.link.state == LinkState.LINK_STATE_LINKED
        return TaskKind.TASK_KIND_LINK_KEY if linked else TaskKind.TASK_KIND_UNLINK_KEY
    if new:
        return TaskKind.TASK_KIND_DEFINE_KEY
    key = resource.system if spec == "system" else resource.service
    # An emergency compromises every version but the newest; a later rotation leaves that number behind.
    emergency = key.key_compromised_below > 1 and key.key_compromised_below == key.key_version
    return TaskKind.TASK_KIND_EMERGENCY_ROTATE if emergency else TaskKind.TASK_KIND_ROTATE_KEY


def drive_kind(resource: Resource, effect_generation: int, observed_generation: int | None) -> TaskKind.ValueType:
    """The kind of task that takes a placement from what was observed to what is desired; None: it is a new one."""
    if resource.HasField("edge_policy"):
        return TaskKind.TASK_KIND_SYNC_POLICY
    if not observed_generation:
        changed = effect_kind(resource, new=False)
        # The region may have made the key without a word of it here yet.
        compromised = observed_generation == 0 and changed == TaskKind.TASK_KIND_EMERGENCY_ROTATE
        return changed if compromised else effect_kind(resource, new=True)
    if observed_generation < effect_generation:
        return effect_kind(resource, new=False)
    return TaskKind.TASK_KIND_SYNC_METADATA
