"""UNLINK_KEY: revocation of a Link; on a tenant, the kill switch. The L1-wrapped blob alone remains."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from orbital.v1 import task_pb2 as pb

from region.domain import destroyed, keys
from region.domain.names import Kind, Name
from region.domain.result import Result, done, purged, stale
from region.handlers.parts import Parts, read_link, read_system, read_tenant, write
from region.handlers.permit import ends, finish, revoke
from region.handlers.settle import ROUNDS, WIDTH
from runtime.errors import Conflict

Lines = tuple[destroyed.Destroyed, ...]


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
        await finish(parts, system)
        return stale(held.generation)
    if held is None or held.generation < generation or held.state != "UNLINKED":
        await write(parts, name, keys.LinkRecord(generation, "UNLINKED", system.system, task.correlation_id), revision)
    for _ in range(ROUNDS):
        record, at = await read_system(parts, system)
        if record is None:
            # A System that arrives later is read after this fence by whoever links it.
            return done(generation, "UNLINKED", pb.KEY_STATE_DESTROYED, destroyed=())
        if record.links.get(name.leaf, 0) > generation:
            return stale(record.links[name.leaf])
        unlinked = record.unlinked(name.leaf, generation, ends(parts))
        gone = await _revoked(parts, system, record, unlinked, at)
        if gone is not None:
            # Said of the moment at which it was gone: a newer Link may have brought it back since.
            return done(generation, "UNLINKED", pb.KEY_STATE_DESTROYED, len(record.blobs), gone)
    raise Conflict("The System kept changing while it was unlinked")


async def kill(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Mark the tenant killed, then destroy the L2 of each of its Systems, whoever linked them.

    A kill that a restoration overtook leaves alone what was linked since, and claims nothing.
    """
    generation = task.resource.generation
    held, revision = await read_tenant(parts, name)
    parts.cache.drop(name.tenant)
    if held and held.departed and held.generation < generation:
        # Its Systems were purged when it left: there is nothing left to revoke.
        return done(generation, held.state, pb.KEY_STATE_DESTROYED, destroyed=())
    if held and held.retired:
        # Its Systems were purged before it: there is nothing left to revoke.
        return purged(name.resource, held.generation, generation)
    if held and held.generation > generation and not held.killed:
        return stale(held.generation)
    if held is None or held.generation < generation or not held.killed:
        lease = task.resource.tenant.lease
        seconds = lease.seconds + lease.nanos / 1e9
        restored = held.restored if held else 0
        await write(parts, name, keys.TenantRecord(generation, "KILLED", seconds, restored), revision)
    observed = max(generation, held.generation if held else 0)
    # Before the keys are destroyed: whoever asks an edge is refused as soon as the region refuses.
    await parts.edges.kill(name.tenant, observed)
    gate = asyncio.Semaphore(WIDTH)

    async def revoke(system: Name) -> Lines:
        async with gate:
            return await _kill_system(parts, system, observed)

    systems = [name.system_of(system) for system in await parts.store.names(f"systems/{name.tenant}")]
    gone = tuple(line for lines in await asyncio.gather(*map(revoke, systems)) for line in lines)
    held, _ = await read_tenant(parts, name)
    if held and held.generation > observed and not held.killed:
        return stale(held.generation)
    return done(observed, "KILLED", pb.KEY_STATE_DESTROYED, destroyed=gone)


async def _kill_system(parts: Parts, system: Name, generation: int) -> Lines:
    for _ in range(ROUNDS):
        record, at = await read_system(parts, system)
        if record is None or record.allowed > generation:
            return ()
        gone = await _revoked(parts, system, record, record.revoked(generation, ends(parts)), at)
        if gone is not None:
            return gone
    raise Conflict("A System kept changing while its tenant was killed")


async def _revoked(
    parts: Parts, system: Name, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> Lines | None:
    """Write the record, then destroy what it no longer allows, and say what; None when somebody changed it first."""
    if after.changing and not after.open:
        after = replace(after, destroying_until=ends(parts))
    try:
        gone_at = await revoke(parts, system, before, after, revision)
    except Conflict:
        return None
    # Another Link's permission is left alone, and so is the key.
    return () if gone_at is None else destroyed.revoked(system.resource, gone_at)
