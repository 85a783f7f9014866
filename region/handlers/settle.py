"""Brings transit and the Services up to what a System's record says. Every step may be repeated."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from dataclasses import replace

from region.domain import keys
from region.domain.known_answer import KNOWN, NONCE, opened, question
from region.domain.names import Name
from region.handlers.parts import Parts, read_service, read_system, wipe, write
from region.handlers.permit import GRACE, HeldPermit, begin, end, ends, idle, short, turn
from region.ports.vault import VERSION_REFUSED, PermitRevoked
from runtime.errors import Conflict, NotFound, Stalled, Unavailable
from runtime.l1 import ROOT_KEY

# Requests to OpenBao under way at once for one System.
WIDTH = 16
ROUNDS = 5


async def settle(
    parts: Parts, mine: HeldPermit, system: Name, record: keys.SystemRecord, revision: int, *, fresh: bool = False
) -> bool:
    """Import what transit lacks, raise the Services, then write the record as ACTIVE. The turn was begun by us.

    False when the System was unlinked meanwhile. `fresh` is a System that nobody ever linked: transit is not asked for
    its key first, and says so where there is one all the same.
    """
    if mine.contested:
        # What OpenBao had begun on for whoever was overtaken ends first.
        await parts.host.sleep(GRACE)
    for attempt in range(ROUNDS):
        trusted = fresh and attempt == 0 and not mine.contested
        try:
            record, revision = await _import_missing(parts, mine, system, record, revision, trusted=trusted)
            record, revision = await _raise_all(parts, mine, system, record, revision)
            await end(parts, system, mine, record.activated(), revision)
        except (Conflict, NotFound) as error:
            latest, revision = await read_system(parts, system)
            if latest is None or not latest.open:
                return False
            if isinstance(error, PermitRevoked) or latest.holder != mine.permit.accessor:
                raise PermitRevoked(f"Somebody else changes the L2 of {system.resource} now") from error
            # Something beside the key was changed, such as another Link's fence: the turn is still ours.
            record = latest
        else:
            return True
    raise Conflict("The System kept changing while it was linked")


async def _import_missing(
    parts: Parts, mine: HeldPermit, system: Name, record: keys.SystemRecord, revision: int, *, trusted: bool
) -> tuple[keys.SystemRecord, int]:
    """Import every version that transit lacks, in order, so that version numbers hold after a relink.

    Unless the key is known to be new each version is proved: transit only counts, and a count says nothing about which
    material stands where.
    """
    key = None if trusted else await parts.transit.key(system.transit)
    present = key.versions if key else 0
    # One that refuses versions which nobody compromised may have lost them.
    refused = key is not None and key.least > max(1, record.compromised_below)
    if key and (not key.imported or present > len(record.blobs) or refused):
        await parts.transit.destroy(system.transit, mine.permit)
        present = 0
    if present < len(record.blobs):
        await parts.transit.prepare_import()
    for blob in record.blobs[present:]:
        material = await unwrapped(parts, blob)
        try:
            record, revision = await _going_on(parts, mine, system, record, revision)
            await parts.transit.import_version(system.transit, material, mine.permit, first=blob.version == 1)
        finally:
            wipe(material)
    if not trusted and not await intact(parts, system, record):
        await parts.transit.destroy(system.transit, mine.permit)
        raise Conflict(f"The versions of {system.resource} in transit are not those of its record")
    return record, revision


async def intact(parts: Parts, system: Name, record: keys.SystemRecord) -> bool:
    """Whether transit holds the versions of the record, no more and no fewer, each in its place."""
    key = await parts.transit.key(system.transit)
    if key is None or not key.imported or key.versions != len(record.blobs):
        return False
    return await proves(parts, system.transit, record, key.least)


async def proves(parts: Parts, name: str, record: keys.SystemRecord, least: int) -> bool:
    """Whether a key in transit gives the known answer of each version that it still decrypts by.

    A version without a question proves nothing; `mend.prove` gives it one.
    """
    checks = [blob.check for blob in record.blobs if blob.version >= least]
    if not checks or not all(checks):
        return False
    try:
        answers = await parts.transit.decrypt(name, checks)
    except (NotFound, Stalled):
        return False
    return all(bytes(answer) == KNOWN for answer in answers)


async def _going_on(
    parts: Parts, mine: HeldPermit, system: Name, record: keys.SystemRecord, revision: int
) -> tuple[keys.SystemRecord, int]:
    """Say that the change goes on, when it is about to look as if it did not."""
    if not short(parts, record.importing_until):
        return record, revision
    record = replace(record, importing_until=ends(parts), holder=mine.permit.accessor)
    return record, await write(parts, system, record, revision)


async def _raise_all(
    parts: Parts, mine: HeldPermit, system: Name, record: keys.SystemRecord, revision: int
) -> tuple[keys.SystemRecord, int]:
    """Wrap every L3 by the newest L2; only then may transit refuse the compromised versions."""
    try:
        await raise_services(parts, system, len(record.blobs))
    except Stalled as error:
        if error.reason != VERSION_REFUSED:
            raise
        # A Service was defined beside an emergency rotation, by the version that was refused meanwhile.
        await parts.transit.restrict(system.transit, 1, mine.permit)
        await raise_services(parts, system, len(record.blobs))
    if record.compromised_below > 1:
        record, revision = await _going_on(parts, mine, system, record, revision)
        await parts.transit.restrict(system.transit, record.compromised_below, mine.permit)
        key = await parts.transit.key(system.transit)
        if key is None or key.least < record.compromised_below:
            raise Unavailable(f"Old versions of {system.resource} still decrypt", reason="NOT_RESTRICTED")
    return record, revision


async def resettle(parts: Parts, system: Name) -> None:
    """Settle an open System once more, though nothing of it changed."""
    record, revision = await idle(parts, system)
    if record is not None and record.open:
        async with turn(parts) as mine:
            again = record.raised(record.generation, record.blobs, ends(parts))
            again, revision = await begin(parts, system, mine, record, again, revision)
            await settle(parts, mine, system, again, revision)


async def raise_services(parts: Parts, system: Name, l2_version: int) -> None:
    """Wrap every L3 of the System by that version of its L2; raises NotFound when the L2 is gone."""
    for _ in range(ROUNDS):
        names = await parts.store.names(f"services/{system.tenant}/{system.system}")
        if await raise_each(parts, system, names, l2_version):
            return
    raise Conflict("The Services of the System kept changing while they were wrapped")


async def raise_each(parts: Parts, system: Name, names: list[str], l2_version: int) -> bool:
    """One round over some Services; False when one of them changed meanwhile."""
    gate = asyncio.Semaphore(WIDTH)

    async def read(service: Name) -> tuple[Name, keys.ServiceRecord | None, int]:
        async with gate:
            return service, *(await read_service(parts, service))

    read_all = await asyncio.gather(*(read(system.service_of(name)) for name in names))
    behind = [(name, record, at) for name, record, at in read_all if record and record.behind(l2_version)]
    if not behind:
        return True
    texts = await _rewrapped(parts, system, [blob for _, record, _ in behind for blob in record.blobs])

    async def save(service: Name, record: keys.ServiceRecord, at: int) -> bool:
        blobs = tuple(keys.Blob(blob.version, keys.L2, texts[blob]) for blob in record.blobs)
        async with gate:
            try:
                await write(parts, service, replace(record, blobs=blobs), at)
            except Conflict:
                return False
        return True

    return all(await asyncio.gather(*(save(*each) for each in behind)))


async def mend_services(parts: Parts, system: Name) -> None:
    """Wrap anew each L3 of the System that the L2 in transit does not open, by whichever of its versions wrapped it.

    So an L3 that was wrapped while the versions in transit were wrong is not lost. One that none of them opens stays.
    """
    record, _ = await read_system(parts, system)
    if record is None or not record.open:
        return
    for each in await parts.store.names(system.services):
        name = system.service_of(each)
        service, at = await read_service(parts, name)
        if service is None or not service.blobs:
            continue
        blobs = [await _readable(parts, system, record, blob) for blob in service.blobs]
        if tuple(blobs) != service.blobs:
            await write(parts, name, replace(service, blobs=tuple(blobs)), at)


async def _readable(parts: Parts, system: Name, record: keys.SystemRecord, blob: keys.Blob) -> keys.Blob:
    """The same L3 as the L2 in transit opens it."""
    if blob.wrapped_by != keys.L2:
        return blob
    try:
        for material in await parts.transit.decrypt(system.transit, [blob.text]):
            wipe(material)
    except Stalled:
        for version in record.blobs:
            l2 = await unwrapped(parts, version)
            found = opened(blob.text, l2)
            wipe(l2)
            if found is not None:
                (text,) = await parts.transit.encrypt(system.transit, [found])
                wipe(found)
                return replace(blob, text=text)
    return blob


async def _rewrapped(parts: Parts, system: Name, blobs: list[keys.Blob]) -> dict[keys.Blob, str]:
    """Every blob wrapped by the newest L2, in one rewrap and one encryption at most."""
    texts: dict[keys.Blob, str] = {}
    wrapped = [blob for blob in blobs if blob.wrapped_by == keys.L2]
    if wrapped:
        texts.update(zip(wrapped, await _renewed(parts, system, wrapped), strict=True))
    fresh = [blob for blob in blobs if blob.wrapped_by != keys.L2]
    if fresh:
        materials = [await unwrapped(parts, blob) for blob in fresh]
        try:
            texts.update(zip(fresh, await parts.transit.encrypt(system.transit, materials), strict=True))
        finally:
            for material in materials:
                wipe(material)
    return texts


async def _renewed(parts: Parts, system: Name, blobs: list[keys.Blob]) -> list[str]:
    """Each L3 wrapped by the newest L2. One that cannot be opened at all stays as it is, and holds up no other."""
    try:
        return await parts.transit.rewrap(system.transit, [blob.text for blob in blobs])
    except Stalled as error:
        record, _ = await read_system(parts, system)
        if error.reason == VERSION_REFUSED or record is None:
            raise
    renewed = []
    for blob in blobs:
        readable = await _readable(parts, system, record, blob)
        try:
            renewed += await parts.transit.rewrap(system.transit, [readable.text])
        except Stalled:
            renewed.append(blob.text)
    return renewed


async def unwrapped(parts: Parts, blob: keys.Blob) -> bytearray:
    """The material of a blob that an L1 or the region root wraps; the caller overwrites it."""
    if not blob.l1:
        return await parts.hsm.unwrap(ROOT_KEY, b64decode(blob.text))
    return await parts.l1(blob.provider).unwrap(blob.l1, b64decode(blob.text))


async def wrapped(parts: Parts, version: int, material: bytearray, l1: keys.L1 | None = None) -> keys.Blob:
    """Material wrapped by an L1, or by the region root."""
    if l1 is None:
        return keys.Blob(version, keys.ROOT, b64encode(await parts.hsm.wrap(ROOT_KEY, material)).decode())
    return keys.Blob(version, l1.mark, b64encode(await parts.l1(l1.provider).wrap(l1.key, material)).decode())


def checked(parts: Parts, blob: keys.Blob, material: bytearray) -> keys.Blob:
    """The version of an L2 with the question by which transit proves that it holds it."""
    return replace(blob, check=question(blob.version, material, parts.host.entropy(NONCE)))


async def fresh_l2(parts: Parts, first: int, last: int, l1: keys.L1 | None = None) -> tuple[keys.Blob, ...]:
    """New material for the versions `first` to `last` of an L2, wrapped and forgotten."""
    blobs = []
    for version in range(first, last + 1):
        material = bytearray(parts.host.entropy(32))
        try:
            blobs.append(checked(parts, await wrapped(parts, version, material, l1), material))
        finally:
            wipe(material)
    return tuple(blobs)


async def fresh_blobs(parts: Parts, first: int, last: int, l1: keys.L1 | None = None) -> tuple[keys.Blob, ...]:
    """New material for the versions `first` to `last`, wrapped and forgotten."""
    blobs = []
    for version in range(first, last + 1):
        material = bytearray(parts.host.entropy(32))
        try:
            blobs.append(await wrapped(parts, version, material, l1))
        finally:
            wipe(material)
    return tuple(blobs)
