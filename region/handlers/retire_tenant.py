"""RETIRE_TENANT: the tenant's context goes once its Systems are purged. The tombstone in its place is the fence."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain import destroyed, keys
from region.domain.names import Name
from region.domain.result import Result, done, stale, waiting
from region.handlers.parts import Parts, read_system, read_tenant, write


async def retire_tenant(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Replace the tenant's record by its tombstone; a System that arrives later is purged by a task of its own."""
    generation, state = task.resource.generation, keys.DEPARTED if task.departure else "RETIRED"
    systems = [name.system_of(each) for each in await parts.store.names(f"systems/{name.tenant}")]
    held, revision = await read_tenant(parts, name)
    parts.cache.drop(name.tenant)
    if held and held.generation > generation:
        return stale(held.generation)
    if held is None or not held.retired or (held.departed and not task.departure):
        for system in systems:
            record, _ = await read_system(parts, system)
            if record and not record.purged:
                return waiting("SYSTEMS_LEFT", f"{system.resource} has to be purged first.", system.resource)
        await write(parts, name, keys.TenantRecord(generation, state, 0.0), revision)
    await parts.store.forget_older(name.path)
    gone = tuple(destroyed.buried(system.resource) for system in systems)
    return done(generation, state, destroyed=gone)
