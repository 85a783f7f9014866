"""DEFINE_TENANT: the tenant's context, with its lease."""

from __future__ import annotations

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Name
from region.domain.result import Result, done, purged, stale
from region.handlers.parts import Parts, read_tenant, write
from region.handlers.unlink_key import kill


async def define_tenant(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Write the tenant's record; a tenant that was killed stays so unless a newer generation says ACTIVE."""
    spec, generation = task.resource.tenant, task.resource.generation
    if spec.state == rpb.TENANT_STATE_KILLED:
        return await kill(parts, task, name)
    held, revision = await read_tenant(parts, name)
    back = held is not None and held.departed and held.generation < generation
    if back:
        # It comes back to a region that it had left, perhaps as a killed one.
        held = None
    if held and held.retired:
        return purged(name.resource, held.generation, generation)
    if held and held.generation > generation:
        return stale(held.generation)
    if held and held.generation == generation:
        if held.state == "ACTIVE":
            # What a crash may have left out after the record was written.
            await parts.edges.revive(name.tenant, generation)
        return done(generation, held.state)
    kept = held.state if held and spec.state == rpb.TENANT_STATE_UNSPECIFIED else "ACTIVE"
    lease = spec.lease.seconds + spec.lease.nanos / 1e9
    revived = back or (held is not None and held.killed and kept == "ACTIVE")
    restored = generation if revived else held.restored if held else 0
    await write(parts, name, keys.TenantRecord(generation, kept, lease, restored), revision)
    if revived:
        await parts.edges.revive(name.tenant, generation)
    return done(generation, kept)
