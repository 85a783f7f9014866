"""UNLINK_KEY: revocation of a Link; on a tenant, the kill switch. The L1-wrapped blob alone remains."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.domain.result import Result, done, stale
from region.handlers.parts import Parts, read_link, read_system, read_tenant, write
from region.handlers.settle import ROUNDS, WIDTH
from runtime.errors import Conflict, NotFound, Unavailable

POLL = 0.05
# Not a ciphertext of any key: decrypting it asks only whether the key is there.
PROBE = "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


async def unlink_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Fence the Link, stop serving, destroy the active L2 and verify that it is gone; or kill the tenant."""
    if name.kind is Kind.TENANT:
        return await kill(parts, task, name)
    generation = task.resource.generation
    held, revision = await read_link(parts, name)
    system = name.system_of(held.system if held else task.resource.link.system)
    parts.cache.drop(system.tenant, system.system)
    if held and held.generation > generation:
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
        if await _changed(parts, system, record, record.unlinked(name.leaf, generation), at):
            return done(generation, "UNLINKED", pb.KEY_STATE_DESTROYED, len(record.blobs))
    raise Conflict("The System kept changing while it was unlinked")


async def kill(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Mark the tenant killed, then destroy the L2 of each of its Systems, whoever linked them."""
    generation = task.resource.generation
    held, revision = await read_tenant(parts, name)
    parts.cache.drop(name.tenant)
    if held and held.generation > generation and not held.killed:
        return stale(held.generation)
    if held is None or held.generation < generation or not held.killed:
        lease = task.resource.tenant.lease
        seconds = lease.seconds + lease.nanos / 1e9
        await write(parts, name, keys.TenantRecord(generation, "KILLED", seconds), revision)
    gate = asyncio.Semaphore(WIDTH)

    async def revoke(system: Name) -> None:
        async with gate:
            await _revoke(parts, system, generation)

    systems = await parts.store.names(f"systems/{name.tenant}")
    await asyncio.gather(*(revoke(name.system_of(system)) for system in systems))
    return done(max(generation, held.generation if held else 0), "KILLED", pb.KEY_STATE_DESTROYED)


async def _revoke(parts: Parts, system: Name, generation: int) -> None:
    for _ in range(ROUNDS):
        record, at = await read_system(parts, system)
        if record is None or await _changed(parts, system, record, record.revoked(generation), at):
            return
    raise Conflict("A System kept changing while its tenant was killed")


async def _changed(
    parts: Parts, system: Name, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> bool:
    """Write the record, then destroy what it no longer allows; False when somebody changed it first."""
    if after != before:
        try:
            await write(parts, system, after, revision)
        except Conflict:
            return False
    if not after.open:
        parts.cache.drop(system.tenant, system.system)
        await _destroy(parts, system, after)
    return True


async def _destroy(parts: Parts, system: Name, record: keys.SystemRecord) -> None:
    """Delete the L2 from transit and verify it; an import that another process had begun is waited for first."""
    await parts.transit.destroy(system.transit)
    while record.importing_until > parts.world.now():
        await parts.world.sleep(POLL)
        latest, _ = await read_system(parts, system)
        if latest is None or latest.open:
            return
        record = latest
    if record.importing_until:
        await parts.transit.destroy(system.transit)
        latest, at = await read_system(parts, system)
        if latest and not latest.open:
            await write(parts, system, replace(latest, importing_until=0.0), at)
    await _verify(parts, system)


async def _verify(parts: Parts, system: Name) -> None:
    if await parts.transit.key(system.transit) is not None:
        raise Unavailable(f"The L2 of {system.resource} is still in transit", reason="NOT_DESTROYED")
    try:
        await parts.transit.decrypt(system.transit, [PROBE])
    except NotFound:
        return
    raise Unavailable(f"The L2 of {system.resource} still decrypts", reason="NOT_DESTROYED")
