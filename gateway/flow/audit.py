"""The audit trail: records are sealed into the chain, and its end is signed and handed to every region."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from orbital.v1.audit_pb2 import AuditHead, ListAuditResponse, SignedAuditHead

from gateway.flow.wake import work
from gateway.ports.audit import AuditStore, HeadSigner
from runtime.lifecycle import Backoff, task_group
from runtime.page import MOST_BYTES, fitting

SEAL_SECONDS = 1.0
SEAL_MOST = 2000
# How soon a head that another gateway signed is handed on.
LOOK_SECONDS = 1.0
# The chain's end is signed before its time once so many records have come since.
SIGN_RECORDS = 100


class Audit:
    """Any number of gateways may run it; one of them seals at a time."""

    def __init__(
        self, store: AuditStore, signer: HeadSigner, clock: Callable[[], datetime], head_seconds: float
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._head_seconds = head_seconds
        self._newest: SignedAuditHead | None = None
        self._unsigned = 0
        self._due = asyncio.Event()

    def newest_head(self) -> SignedAuditHead | None:
        """The newest signed head that this process knows."""
        return self._newest

    async def list(self, after: int, most: int) -> ListAuditResponse:
        """A page of the trail with its heads."""
        records = fitting(await self._store.page(after, most), MOST_BYTES // 2)
        kept = await self._store.heads(after, records[-1].sequence if records else after)
        heads = fitting(kept, MOST_BYTES // 2)
        if len(heads) < len(kept):
            # What the first head that has no room is of comes with the next page, and so does that head.
            last = _sequence(kept[len(heads)]) - 1
            records = [one for one in records if one.sequence <= last]
            heads = [one for one in heads if _sequence(one) <= last]
        newest, end = await self._store.newest_head(), await self._store.end()
        return ListAuditResponse(records=records, heads=heads, newest=newest, end=end.sequence)

    async def run(self, backoff: Callable[[], Backoff]) -> None:
        """Seal, sign and hand on, until cancelled."""
        async with task_group() as group:
            group.create_task(work("seal", asyncio.Event(), SEAL_SECONDS, self._seal, backoff()))
            group.create_task(work("newest head", asyncio.Event(), LOOK_SECONDS, self._look, backoff()))
            if self._signer.can_sign:
                group.create_task(work("sign head", self._due, self._head_seconds, self.sign, backoff()))

    async def _seal(self) -> bool:
        sealed = await self._store.seal(SEAL_MOST)
        self._unsigned += sealed
        if self._unsigned >= SIGN_RECORDS:
            self._due.set()
        return sealed == SEAL_MOST

    async def _look(self) -> bool:
        self._newest = await self._store.newest_head()
        return False

    async def sign(self) -> bool:
        """Sign the chain's end, where it has moved; never more to do at once."""
        self._unsigned = 0
        end = await self._store.end()
        newest = await self._store.newest_head()
        if end.sequence > (AuditHead.FromString(newest.head).sequence if newest else 0):
            head = AuditHead(sequence=end.sequence, hash=end.hash)
            head.sign_time.FromDatetime(self._clock())
            packed = head.SerializeToString(deterministic=True)
            made = await self._signer.sign(packed)
            signed = SignedAuditHead(
                head=packed, key_id=made.key_id, signature=made.signature, certificates=made.certificates
            )
            await self._store.keep_head(end.sequence, signed)
            self._newest = signed
        return False


def _sequence(signed: SignedAuditHead) -> int:
    return AuditHead.FromString(signed.head).sequence
