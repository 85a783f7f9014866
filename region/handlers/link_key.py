"""LINK_KEY: the customer's L1 lets the region use the System's L2."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Name
from region.domain.result import Result, done, failed, purged, stale, waiting
from region.handlers.define_key import undefined
from region.handlers.parts import Parts, read_link, read_tenant, recall_system, wipe, write
from region.handlers.permit import begin, ends, idle, turn
from region.handlers.settle import checked, settle, unwrapped, wrapped
from runtime.errors import Conflict
from runtime.l1 import NAME_INVALID, RESERVED, name_problem, reserved


async def link_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Wrap the material by L1 the first time, unwrap it by L1 any other time, and bring it into transit.

    The System is read before the tenant's and the Link's fences are: whoever fences later than that changes the
    System's record, and the check-and-set below then refuses. So one that nobody had linked when this process wrote it
    need not be read at all.
    """
    generation = task.resource.generation
    unusable = _unusable(task)
    if unusable:
        return unusable
    system = name.system_of(task.resource.link.system)
    record, revision = await recall_system(parts, system)
    if record is None or not record.untouched:
        record, revision = await idle(parts, system)
    if record is None or record.departed:
        return undefined(system)
    if record.purged:
        return purged(system.resource, 0, generation)
    refusal, tenant = await _fenced(parts, task, name, record, new=record.untouched and name.leaf not in record.links)
    if refusal or tenant is None:
        return refusal or undefined(name.parent_tenant())
    l1 = keys.L1(task.resource.link.provider or keys.HSM, task.resource.link.key)
    # What was linked before a kill that was taken back is linked again: that kill's late work then finds it newer.
    current = record.links.get(name.leaf) == generation and record.allowed >= tenant.restored
    if not current or not record.settled or record.state is not keys.State.ACTIVE:
        blobs = await _by_l1(parts, record, l1)
        async with turn(parts) as mine:
            after = record.linking(name.leaf, generation, l1, blobs, ends(parts), tenant.generation)
            after, revision = await begin(parts, system, mine, record, after, revision)
            if not await settle(parts, mine, system, after, revision, fresh=record.untouched):
                return stale(generation + 1)
    return done(generation, "LINKED", pb.KEY_STATE_ACTIVE, len(record.blobs))


def _unusable(task: pb.Task) -> Result | None:
    """Why no Link may use the L1 that this one names, whoever signed the task."""
    provider, key = task.resource.link.provider or keys.HSM, task.resource.link.key
    if reserved(key):
        return failed(RESERVED, f"The L1 key {key!r} belongs to the platform; no Link may use it.")
    problem = name_problem(provider, key)
    return failed(NAME_INVALID, f"The L1 key {key!r} {problem}.") if problem else None


async def _fenced(
    parts: Parts, task: pb.Task, name: Name, record: keys.SystemRecord, *, new: bool
) -> tuple[Result | None, keys.TenantRecord | None]:
    """Set the Link's fence to this generation; what forbids it instead, if anything does. The tenant as it is.

    A `new` Link is not asked for first: that there is one all the same is what the write says then.
    """
    generation = task.resource.generation
    (tenant, _), (held, revision) = await asyncio.gather(
        read_tenant(parts, name), _no_link() if new else read_link(parts, name)
    )
    refusal = _forbidden(task, name, record, tenant, held)
    if refusal is None and (held is None or held.generation < generation):
        fence = keys.LinkRecord(generation, "LINKED", task.resource.link.system, task.correlation_id)
        try:
            await write(parts, name, fence, revision)
        except Conflict:
            if not new:
                raise
            return await _fenced(parts, task, name, record, new=False)
    return refusal, tenant


def _forbidden(
    task: pb.Task,
    name: Name,
    record: keys.SystemRecord,
    tenant: keys.TenantRecord | None,
    held: keys.LinkRecord | None,
) -> Result | None:
    if tenant is None or tenant.departed:
        return undefined(name.parent_tenant())
    if tenant.killed:
        return failed("TENANT_KILLED", f"{name.parent_tenant().resource} was killed; nothing of it is linked again.")
    newest = max(held.generation if held else 0, record.links.get(name.leaf, 0))
    if newest > task.resource.generation:
        return stale(newest)
    if held and held.system != task.resource.link.system:
        return failed("LINK_MOVED", f"{name.resource} belongs to System {held.system!r}; a Link keeps its System.")
    if record.open and record.link != name.leaf:
        other = Name(name.kind, name.tenant, leaf=record.link).resource
        return waiting("SYSTEM_LINKED", f"{other} links the System already; it has to be unlinked first.", other)
    return None


async def _no_link() -> tuple[None, int]:
    return None, 0


async def _by_l1(parts: Parts, record: keys.SystemRecord, l1: keys.L1) -> tuple[keys.Blob, ...]:
    """Every version wrapped by that L1, which is how an L1 is rotated, or moved to another provider, too."""
    blobs = []
    for blob in record.blobs:
        if blob.wrapped_by == l1.mark:
            blobs.append(blob)
            continue
        material = await unwrapped(parts, blob)
        try:
            again = await wrapped(parts, blob.version, material, l1)
            blobs.append(replace(again, check=blob.check) if blob.check else checked(parts, again, material))
        finally:
            wipe(material)
    return tuple(blobs)
