"""DEFINE_KEY: the material of an L2 (System) or an L3 (Service), made once."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain import destroyed, keys
from region.domain.intent import compromised_below, wanted_version
from region.domain.names import Kind, Name
from region.domain.result import Result, done, purged, stale, waiting
from region.handlers.parts import Parts, read_service, read_system, read_tenant, wipe, write
from region.handlers.permit import begin, ends, idle, turn
from region.handlers.settle import fresh_blobs, fresh_l2, raise_each, resettle, settle
from region.ports.vault import VERSION_REFUSED
from runtime.errors import Conflict, NotFound, Stalled


async def define_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Bring the key to the version that is wanted: made if there is none, a newer version added if there is."""
    if name.kind is Kind.SYSTEM:
        return await _define_system(parts, task, name)
    return await _define_service(parts, task, name)


async def _define_system(parts: Parts, task: pb.Task, name: Name) -> Result:
    generation, wanted = task.resource.generation, wanted_version(task.resource)
    below = compromised_below(task.resource)
    held, revision = await idle(parts, name)
    back = held is not None and held.departed and held.generation < generation
    if held and held.purged and not back:
        return purged(name.resource, held.generation, generation)
    if held is None or back:
        tenant, _ = await read_tenant(parts, name)
        if tenant is None or tenant.departed:
            return undefined(name.parent_tenant())
        if tenant.retired:
            return purged(name.parent_tenant().resource, 0, generation)
        blobs = await fresh_l2(parts, 1, wanted)
        # Creation is the commit point: material whose record was not written was never anybody's.
        made = keys.SystemRecord(generation, keys.State.PRE_ACTIVE, blobs, compromised_below=below)
        await write(parts, name, held.returned(generation, blobs, below) if held else made, revision)
        lines = destroyed.compromised(name.resource, below, active=False) if below > 1 else None
        return done(generation, keys.State.PRE_ACTIVE, pb.KEY_STATE_PRE_ACTIVE, len(blobs), lines)
    if held.generation > generation and not (held.settled and _holds_already(task, held, below)):
        return stale(held.generation)
    gone, observed = _compromised(task, held, below), max(generation, held.generation)
    if held.generation < generation or (held.generation == generation and not held.settled):
        l1 = held.l1 if held.open else None
        blobs = held.blobs + await fresh_l2(parts, len(held.blobs) + 1, wanted, l1)
        held = await _raised(parts, name, held, held.raised(generation, blobs, ends(parts), below), revision)
    lines = destroyed.compromised(name.resource, below, active=held.open) if gone else None
    return done(observed, held.state, keys.KEY_STATES[held.state], len(held.blobs), lines)


async def _raised(
    parts: Parts, name: Name, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> keys.SystemRecord:
    """Write the newer versions, and bring an open System up to them; its record as it is then."""
    if not after.open:
        await write(parts, name, after, revision)
        return after
    async with turn(parts) as mine:
        after, revision = await begin(parts, name, mine, before, after, revision)
        if await settle(parts, mine, name, after, revision):
            return after.activated()
    latest, _ = await read_system(parts, name)
    assert latest is not None
    return latest


async def _define_service(parts: Parts, task: pb.Task, name: Name) -> Result:
    generation, wanted = task.resource.generation, wanted_version(task.resource)
    system = name.system_of()
    parent, _ = await read_system(parts, system)
    if parent is None or parent.departed:
        return undefined(system)
    held, revision = await read_service(parts, name)
    if held and held.departed and held.generation < generation:
        # It comes back to a region that it had left: other material, in the place of the tombstone.
        held = None
    if held and held.purged:
        return purged(name.resource, held.generation, generation)
    if parent.purged:
        return purged(system.resource, 0, generation)
    if held and held.generation > generation and not _holds_already(task, held, compromised_below(task.resource)):
        return stale(held.generation)
    gone = _compromised(task, held, compromised_below(task.resource))
    if held is None or held.generation < generation:
        present = held.blobs if held else ()
        blobs = present + await _l3_blobs(parts, system, parent, len(present) + 1, wanted)
        below = max(compromised_below(task.resource), held.compromised_below if held else 0)
        held = keys.ServiceRecord(generation, blobs, below)
        await write(parts, name, held, revision)
    # Read again: the System may have been linked or rotated after the first look, and its handler not have seen this.
    parent, _ = await read_system(parts, system)
    if parent and parent.open:
        await _raise(parts, system, name, len(parent.blobs))
    active = parent is not None and parent.state is keys.State.ACTIVE
    state = keys.State.ACTIVE if active else keys.State.PRE_ACTIVE
    lines = destroyed.compromised_service(name.resource, held.compromised_below) if gone else None
    return done(held.generation, state, keys.KEY_STATES[state], len(held.blobs), lines)


def _compromised(task: pb.Task, held: keys.SystemRecord | keys.ServiceRecord | None, below: int) -> bool:
    """True when a receipt has to say that old versions are COMPROMISED.

    This generation makes them so, or did so before it broke off; or the task asks for it, and an earlier one did it.
    """
    if below <= 1:
        return False
    asked = task.kind == pb.TASK_KIND_EMERGENCY_ROTATE
    return asked or held is None or held.generation == task.resource.generation or held.compromised_below < below


def _holds_already(task: pb.Task, held: keys.SystemRecord | keys.ServiceRecord, below: int) -> bool:
    """Whether a newer generation holds what this emergency rotation asks for, so that it can be proved."""
    return task.kind == pb.TASK_KIND_EMERGENCY_ROTATE and 1 < below <= held.compromised_below


async def _raise(parts: Parts, system: Name, name: Name, l2_version: int) -> None:
    try:
        if not await raise_each(parts, system, [name.leaf], l2_version):
            raise Conflict("The Service changed while it was wrapped")
    except NotFound:
        # Not in transit yet, or no more: the handler that brings it back finds this Service in its list.
        return
    except Stalled as error:
        if error.reason != VERSION_REFUSED:
            raise
        await resettle(parts, system)


async def _l3_blobs(
    parts: Parts, system: Name, parent: keys.SystemRecord, first: int, last: int
) -> tuple[keys.Blob, ...]:
    """New L3 versions, wrapped by the L2 where it is active, by the region root where it is not."""
    if first > last or parent.state is not keys.State.ACTIVE:
        return await fresh_blobs(parts, first, last)
    materials = [bytearray(parts.host.entropy(32)) for _ in range(first, last + 1)]
    try:
        texts = await parts.transit.encrypt(system.transit, materials)
    except NotFound:
        return await fresh_blobs(parts, first, last)
    finally:
        for material in materials:
            wipe(material)
    return tuple(keys.Blob(first + index, keys.L2, text) for index, text in enumerate(texts))


def undefined(parent: Name) -> Result:
    """The task came before its parent."""
    return waiting(
        f"{parent.kind.upper()}_UNDEFINED", f"{parent.resource} has not arrived in the region yet.", parent.resource
    )
