"""Whose turn it is to change a System's L2 in transit.

Transit has no check-and-set. So whoever changes a key there takes a permit, notes it in the System's record by the
check-and-set that begins the change, and changes the key by that permit alone. Whoever comes next revokes the permit
that is noted before it writes: what a process asks that stood still meanwhile, OpenBao itself refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from region.domain import keys
from region.domain.names import Name
from region.handlers.parts import Parts, read_system, write
from region.ports.vault import Permit, PermitRevoked
from runtime.errors import Conflict, NotFound, Stalled, Unavailable

# Seconds for which one that can wait leaves another's change alone; a revocation waits for nobody.
WINDOW = 6.0
# A change that goes on says so again while this many seconds are left.
MARGIN = 4.0
POLL = 0.05
# A request that OpenBao had begun to handle when its permit was revoked has ended after so many seconds.
GRACE = 0.5
ROUNDS = 5
NOT_DESTROYED = "NOT_DESTROYED"
# Not a ciphertext of any key: decrypting it asks only whether the key is there.
PROBE = "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@dataclass(slots=True)
class HeldPermit:
    """One attempt's permit; `noted` while a record names it, `contested` when the turn was taken from somebody."""

    permit: Permit
    noted: bool = False
    contested: bool = False


@asynccontextmanager
async def turn(parts: Parts) -> AsyncIterator[HeldPermit]:
    """A permit inside the block. What did not end its change never uses its permit again."""
    mine = HeldPermit(await parts.permits.take())
    try:
        yield mine
    except BaseException:
        parts.permits.discard(mine.permit)
        raise
    if mine.noted:
        parts.permits.discard(mine.permit)
    else:
        parts.permits.give_back(mine.permit)


async def begin(
    parts: Parts, system: Name, mine: HeldPermit, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> tuple[keys.SystemRecord, int]:
    """Make void what was noted before, then write the record with our permit in it; raises Conflict.

    In this order a crash between the two leaves nothing that could still change the key unseen.
    """
    if before.changing:
        mine.contested = True
    if before.holder:
        await parts.permits.revoke(before.holder)
    after = replace(after, holder=mine.permit.accessor)
    mine.noted = True
    try:
        return after, await write(parts, system, after, revision)
    except Conflict:
        mine.noted = False
        raise


async def end(parts: Parts, system: Name, mine: HeldPermit, after: keys.SystemRecord, revision: int) -> None:
    """Write what has become of it; the change is over. Raises Conflict when the record was changed meanwhile."""
    await write(parts, system, after.ended(), revision)
    mine.noted = False


def ends(parts: Parts) -> float:
    """Until when a change that begins now is left alone by those that can wait."""
    return parts.host.now() + WINDOW


def short(parts: Parts, until: float) -> bool:
    """True when a change has to say that it goes on."""
    return parts.host.now() > until - MARGIN


async def idle(parts: Parts, system: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record once nobody changes its key, or has been at it for too long."""
    while True:
        record, revision = await read_system(parts, system)
        if record is None or not record.busy(parts.host.now()):
            return record, revision
        await parts.host.sleep(POLL)


async def revoke(
    parts: Parts, system: Name, before: keys.SystemRecord, after: keys.SystemRecord, revision: int
) -> float | None:
    """Write `after`, which allows nothing, destroy the L2 and verify that it is gone. When it was gone.

    None when `after` is open, because another Link's permission is left alone. Raises Conflict when somebody changed
    the record meanwhile: then nothing is claimed.
    """
    if after.open or not after.changing:
        if after != before:
            revision = await write(parts, system, after, revision)
        if after.open:
            return None
        gone_at = parts.host.now()
        if await _absent(parts, system):
            return gone_at
        # Nobody is noted who could have brought it there: it is destroyed, not waited for.
        before = after = replace(after, destroying_until=ends(parts))
    # Twice: before and after the write a call may have loaded a key.
    parts.cache.drop(system.tenant, system.system)
    async with turn(parts) as mine:
        after, revision = await begin(parts, system, mine, before, after, revision)
        parts.cache.drop(system.tenant, system.system)
        gone_at = await _destroyed(parts, system, mine)
        for _ in range(ROUNDS):
            try:
                await end(parts, system, mine, after, revision)
            except Conflict:
                latest, revision = await read_system(parts, system)
                if latest is None or latest.holder != mine.permit.accessor:
                    raise PermitRevoked(f"Somebody else changes the L2 of {system.resource} now") from None
                # Something beside the key was changed, such as another Link's fence.
                after = latest
            else:
                return gone_at
    raise Conflict("The System kept changing while its key was destroyed")


async def finish(parts: Parts, system: Name) -> float | None:
    """Destroy what a System that is not open still has in transit, whoever began that; None when a Link opened it."""
    for _ in range(ROUNDS):
        record, revision = await read_system(parts, system)
        if record is None:
            return parts.host.now()
        if record.open:
            return None
        again = replace(record, destroying_until=ends(parts)) if record.changing else record
        try:
            return await revoke(parts, system, record, again, revision)
        except Conflict:
            continue
    raise Conflict("The System kept changing while its key was destroyed")


async def _destroyed(parts: Parts, system: Name, mine: HeldPermit) -> float:
    """Delete the L2 and verify that it is gone; the time at which it was."""
    await parts.transit.destroy(system.transit, mine.permit)
    gone_at = parts.host.now()
    gone = await _absent(parts, system)
    for _ in range(ROUNDS):
        if gone and not mine.contested:
            return gone_at
        # What OpenBao had begun on for whoever was overtaken may arrive within moments.
        await parts.host.sleep(GRACE)
        await parts.transit.destroy(system.transit, mine.permit)
        gone_at, mine.contested = parts.host.now(), False
        gone = await _absent(parts, system)
    raise Unavailable(f"The L2 of {system.resource} is still in transit", reason=NOT_DESTROYED)


async def _absent(parts: Parts, system: Name) -> bool:
    """Whether transit has no such key, by what it lists and by what it decrypts."""
    if await parts.transit.key(system.transit) is not None:
        return False
    try:
        await parts.transit.decrypt(system.transit, [PROBE])
    except NotFound:
        return True
    except Stalled:
        # That it is no ciphertext of the key only a key can say.
        return False
    return False
