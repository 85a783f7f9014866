"""Where a System's key is not as its record says, and what makes it so again. The record is the truth."""

from __future__ import annotations

from dataclasses import replace

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.domain.verify import Mismatch
from region.handlers.link_key import link_key
from region.handlers.parts import Parts, read_link, read_service, read_system, read_tenant, wipe, write
from region.handlers.permit import finish
from region.handlers.settle import checked, intact, mend_services, resettle, unwrapped
from region.ports.vault import TransitKey
from runtime.errors import Conflict, NotFound, Stalled

LOOKS = 3


async def look(parts: Parts, system: Name) -> Mismatch | None:
    """What disagrees with the System's record; None where nothing does, or somebody is at work on it."""
    for _ in range(LOOKS):
        record, revision = await read_system(parts, system)
        if record is None or record.busy(parts.host.now()):
            return None
        found = await _against(parts, system, record)
        if found is None:
            return None
        # What was changed between the two readings says nothing.
        _, now = await read_system(parts, system)
        if now == revision:
            return found
    return None


async def mend(parts: Parts, system: Name, found: Mismatch) -> None:
    """Bring transit and the Services to what the record says; raises when that cannot be done now."""
    match found.reason:
        case "KEY_ORPHANED":
            await finish(parts, system)
        case "KEY_NOT_ACTIVE":
            await _link_again(parts, system)
        case "SERVICE_UNREADABLE":
            await mend_services(parts, system)
        case _:
            await resettle(parts, system)
            await mend_services(parts, system)


async def prove(parts: Parts, system: Name) -> None:
    """Give each version of an L2 that has none its known answer; the material is unwrapped by its L1 for that."""
    record, revision = await read_system(parts, system)
    if record is None or not record.open or not record.settled or all(blob.check for blob in record.blobs):
        return
    blobs = []
    for blob in record.blobs:
        if not blob.check:
            material = await unwrapped(parts, blob)
            try:
                blob = checked(parts, blob, material)  # noqa: PLW2901
            finally:
                wipe(material)
        blobs.append(blob)
    try:
        await write(parts, system, replace(record, blobs=tuple(blobs)), revision)
    except Conflict:
        # Whoever changed it is at work; the next look gives it.
        return


async def _against(parts: Parts, system: Name, record: keys.SystemRecord) -> Mismatch | None:
    key = await parts.transit.key(system.transit)
    if not record.open:
        if key is not None:
            return Mismatch("KEY_ORPHANED", f"Transit has its L2 though it is {record.state}.")
        return await _not_active(parts, system, record)
    if not record.settled:
        # Nobody is at work on it. Its task may be in a journal, or in none any more.
        return Mismatch("UNSETTLED", "Its Link or its rotation broke off.")
    return await _open(parts, system, record, key)


async def _open(parts: Parts, system: Name, record: keys.SystemRecord, key: TransitKey | None) -> Mismatch | None:
    if key is None:
        return Mismatch("KEY_MISSING", "It is ACTIVE, and transit does not have its L2.")
    if not await intact(parts, system, record):
        said = f"Transit has {key.versions} versions of its L2, the record {len(record.blobs)}; they are not the same."
        return Mismatch("KEY_VERSIONS_WRONG", said)
    if key.least != max(1, record.compromised_below):
        said = f"Transit decrypts from version {key.least}; the record says {max(1, record.compromised_below)}."
        return Mismatch("KEY_NOT_RESTRICTED", said)
    return None


async def _not_active(parts: Parts, system: Name, record: keys.SystemRecord) -> Mismatch | None:
    """A Link that holds, and the key that it allows is not there: somebody destroyed it who no longer might."""
    if record.state is not keys.State.UNLINKED or record.refused_at or not record.link:
        return None
    link = Name(Kind.LINK, system.tenant, leaf=record.link)
    held, _ = await read_link(parts, link)
    tenant, _ = await read_tenant(parts, system)
    alive = tenant is not None and not (tenant.killed or tenant.retired)
    linked = held is not None and held.state == "LINKED" and held.generation == record.links.get(record.link)
    if not (alive and linked):
        return None
    return Mismatch("KEY_NOT_ACTIVE", f"{link.resource} is LINKED; the L2 of its System is {record.state}.")


async def services(parts: Parts, system: Name) -> Mismatch | None:
    """A Service of an open System with a version that its L2 does not open."""
    for each in await parts.store.names(system.services):
        service, _ = await read_service(parts, system.service_of(each))
        texts = [blob.text for blob in service.blobs if blob.wrapped_by == keys.L2] if service else []
        try:
            for material in await parts.transit.decrypt(system.transit, texts):
                wipe(material)
        except Stalled as error:
            return Mismatch("SERVICE_UNREADABLE", f"Its Service {each!r} is not opened by its L2: {error.reason}.")
        except NotFound:
            return None
    return None


async def _link_again(parts: Parts, system: Name) -> None:
    record, _ = await read_system(parts, system)
    if record is None:
        return
    link = Name(Kind.LINK, system.tenant, leaf=record.link)
    held, _ = await read_link(parts, link)
    if held is None:
        return
    spec = rpb.LinkSpec(system=system.system, provider=record.provider, key=record.key, state=rpb.LINK_STATE_LINKED)
    task = pb.Task(
        kind=pb.TASK_KIND_LINK_KEY,
        tenant=system.tenant,
        resource=rpb.Resource(name=link.resource, generation=held.generation, link=spec),
        correlation_id=held.correlation_id,
    )
    await link_key(parts, task, link)
