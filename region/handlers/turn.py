"""Whose turn it is to change a System's L2 in transit.

Transit has no check-and-set, so there is one import at a time, and none beside a destruction. A turn is a time in the
System's record; it ends by itself, so that a crash holds nobody up.
"""

from __future__ import annotations

from dataclasses import replace

from region.domain import keys
from region.domain.names import Name
from region.handlers.parts import Parts, read_system, write
from runtime.errors import Conflict, NotFound, Stalled, Unavailable

WINDOW = 6.0
# A call to transit is begun only while this many seconds of the turn remain; none takes as long.
MARGIN = 4.0
POLL = 0.05
NOT_DESTROYED = "NOT_DESTROYED"
# Not a ciphertext of any key: decrypting it asks only whether the key is there.
PROBE = "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def ends(parts: Parts) -> float:
    """When a turn that begins now ends."""
    return parts.world.now() + WINDOW


def short(parts: Parts, until: float) -> bool:
    """True when a turn has no time left for another call."""
    return parts.world.now() > until - MARGIN


async def idle(parts: Parts, system: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record once no change of its key that somebody began can still arrive."""
    while True:
        record, revision = await read_system(parts, system)
        if record is None or not record.busy(parts.world.now()):
            return record, revision
        await parts.world.sleep(POLL)


async def destroy(parts: Parts, system: Name) -> bool:
    """Delete the L2 of an unlinked System from transit, verify that it is gone, and note it in the record.

    An import that was under way is waited for. A newer Link that took over meanwhile ends it: then it is False. What
    was gone before is verified all the same.
    """
    deleted = False
    while True:
        record, revision = await read_system(parts, system)
        if record is not None and record.open:
            return False
        if record is None or not record.destroying_until:
            return await _gone(parts, system)
        try:
            if short(parts, record.destroying_until):
                record = replace(record, destroying_until=ends(parts))
                revision = await write(parts, system, record, revision)
            importing = record.importing_until > parts.world.now()
            if not (deleted and importing):
                await parts.transit.destroy(system.transit)
                deleted = True
            if importing:
                await parts.world.sleep(POLL)
                continue
            await _verify(parts, system)
            await write(parts, system, replace(record, importing_until=0.0, destroying_until=0.0), revision)
        except Conflict:
            continue
        return True


async def _gone(parts: Parts, system: Name) -> bool:
    """Verify that the L2 of a System that is not open is not there; False when a Link opened it meanwhile."""
    try:
        await _verify(parts, system)
    except Unavailable as error:
        if error.reason != NOT_DESTROYED:
            raise
        record, _ = await read_system(parts, system)
        if record is None or not record.open:
            raise
        return False
    return True


async def _verify(parts: Parts, system: Name) -> None:
    if await parts.transit.key(system.transit) is not None:
        raise Unavailable(f"The L2 of {system.resource} is still in transit", reason=NOT_DESTROYED)
    try:
        await parts.transit.decrypt(system.transit, [PROBE])
    except NotFound:
        return
    except Stalled as error:
        # That it is no ciphertext of the key only a key can say.
        raise Unavailable(f"The L2 of {system.resource} answers", reason=NOT_DESTROYED) from error
    raise Unavailable(f"The L2 of {system.resource} still decrypts", reason=NOT_DESTROYED)
