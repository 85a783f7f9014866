"""UNLINK_KEY: revocation of a Link; on a tenant, the kill switch. The L1-wrapped blob alone remains."""

from __future__ import annotations

import asyncio

from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.domain.result import Result, done, purged, stale
from region.handlers.parts import Parts, read_link, read_system, read_tenant, write
from region.handlers.settle import ROUNDS, WIDTH
from region.handlers.turn import destroy, ends
from runtime.errors import Conflict


async def unlink_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Fence the Link, stop serving, destroy the active L2 and verify that it is gone; or kill the tenant."""
    if name.kind is Kind.TENANT:
        return await kill(parts, task, name)
    generation = task.resource.generation
    held, revision = await read_link(parts, name)
    system = name.system_of(held.system if held else task.resource.link.system)
    parts.cache.drop(system.tenant, system.system)
    if held and held.generation > generation:
        # What this revocation had begun before a newer generation came is finished all the same.
        await destroy(parts, system)
        return stale(held.generation)
    if held is None or held.generation < generation or held.state != "UNLINKED":
        await write(parts, name, keys.LinkRecord(generation, "UNLINKED", system.system), revision)
    for _ in range(ROUNDS):
        record, at = await read_system(parts, system)
        if record is None:
            # A System that arrives later is read after this fence by whoever links it.
            return done(generation, "UNLINKED", pb.KEY_STATE_DESTROYED)
        if record.links.get(name.leaf, 0) > generation:
            return stale(record.links[name.leaf])
        if await _revoked(parts, system, record, record.unlinked(name.leaf, generation, ends(parts)), at):
            return done(generation, "UNLINKED", pb.KEY_STATE_DESTROYED, len(record.blobs))
    raise Conflict("The System kept changing while it was unlinked")


async def kill(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Mark the tenant killed, then destroy the L2 of each of its Systems, whoever linked them."""
    generation = task.resource.generation
    held, revision = await read_tenant(parts, name)
    parts.cache.drop(name.tenant)
    if held and held.retired:
        # Its Systems were purged before it: there is nothing left to revoke.
        return purged(name.resource, held.generation, generation)
    if held and held.generation > generation and not held.killed:
        return stale(held.generation)
    if held is None or held.generation < generation or not held.killed:
        lease = task.resource.tenant.lease
        seconds = lease.seconds + lease.nanos / 1e9
        await write(parts, name, keys.TenantRecord(generation, "KILLED", seconds), revision)
    gate = asyncio.Semaphore(WIDTH)

    async def revoke(system: Name) -> None:
        async with gate:
            await _kill_system(parts, system, generation)

    systems = await parts.store.names(f"systems/{name.tenant}")
    await asyncio.gather(*(revoke(name.system_of(system)) for system in systems))
    return done(max(generation, held.generation if held else 0), "KILLED", pb.KEY_STATE_DESTROYED)


async def _kill_system(parts: Parts, system: Name, generation: int) -> None:
    for _ in range(ROUNDS):
        record, at = await read_system(parts, system)
        if record is None or await _revoked(parts, system, record, record.revoked(generation, ends(parts)), at):
            return
    raise Conflict("A System kept changing while its tenant was killed")


async def _revoked(
    parts: Parts, system: Name, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> bool:
    """Write the record, then destroy what it no longer allows; False when somebody changed it first."""
    if after != before:
        try:
            await write(parts, system, after, revision)
        except Conflict:
            return False
    if not after.open:
        # Again: a call may have loaded a key between the first drop and this write.
        parts.cache.drop(system.tenant, system.system)
        await destroy(parts, system)
    return True
