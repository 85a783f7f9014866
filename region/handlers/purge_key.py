"""PURGE_KEY: every copy of a key is destroyed, for good. The tombstone in the place of its record is the fence."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain import destroyed, keys
from region.domain.names import Kind, Name
from region.domain.result import Result, done, stale, waiting
from region.handlers.parts import Parts, read_service, read_system, write
from region.handlers.permit import ends, finish, revoke
from region.ports.vault import LONGEST_CACHED


async def purge_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Destroy an L3, or an L2 that no Link uses and under which no L3 is left; children come first."""
    parts.cache.drop(name.tenant, name.system)
    if name.kind is Kind.SERVICE:
        return await _purge_service(parts, task, name)
    return await _purge_system(parts, task, name)


async def _purge_service(parts: Parts, task: pb.Task, name: Name) -> Result:
    generation = task.resource.generation
    held, revision = await read_service(parts, name)
    if held and held.generation > generation:
        return stale(held.generation)
    ahead = held is not None and held.purged_at > parts.host.now()
    if held is None or not held.purged or ahead or (held.departed and not task.departure):
        # One write destroys the material and sets the fence; without a record the fence alone.
        held = keys.ServiceRecord(generation, (), purged_at=parts.host.now(), departed=task.departure)
        await write(parts, name, held, revision)
        parts.cache.drop(name.tenant, name.system)
    await parts.store.forget_older(name.path)
    system, _ = await read_system(parts, name.system_of())
    # The process that serves may have it in memory for a moment more, unless the System was unlinked there.
    if system and system.open and parts.host.now() < held.purged_at + LONGEST_CACHED:
        return waiting("CACHED", f"{name.resource} may be in memory for up to {LONGEST_CACHED:g} s.")
    gone = destroyed.purged_service(name.resource)
    return done(generation, keys.State.DESTROYED, pb.KEY_STATE_DESTROYED, destroyed=gone)


async def _purge_system(parts: Parts, task: pb.Task, name: Name) -> Result:
    generation, departed = task.resource.generation, task.departure
    record, revision = await read_system(parts, name)
    if record and record.generation > generation:
        return stale(record.generation)
    if record is None:
        await write(parts, name, keys.SystemRecord(generation, keys.State.DESTROYED, (), departed=departed), 0)
    elif record.departed and not departed:
        # Now it is for good.
        await revoke(parts, name, record, record.destroyed(generation, ends(parts)), revision)
    elif not record.purged:
        if record.open:
            link = Name(Kind.LINK, name.tenant, leaf=record.link).resource
            return waiting("SYSTEM_LINKED", f"{link} still links the System; it has to be unlinked first.", link)
        left = await _left(parts, name)
        if left:
            return waiting("SERVICES_LEFT", f"{left} has to be purged first.", left)
        await revoke(parts, name, record, record.destroyed(generation, ends(parts), departed=departed), revision)
    await parts.store.forget_older(name.path)
    await finish(parts, name)
    gone = destroyed.purged_system(name.resource)
    return done(generation, keys.State.DESTROYED, pb.KEY_STATE_DESTROYED, destroyed=gone)


async def _left(parts: Parts, system: Name) -> str:
    """A Service of the System whose L3 is not purged; empty when there is none."""
    for service in await parts.store.names(f"services/{system.tenant}/{system.system}"):
        name = system.service_of(service)
        record, _ = await read_service(parts, name)
        if record and not record.purged:
            return name.resource
    return ""
