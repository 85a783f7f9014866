"""Proofs: the receipts of a change, put together and signed; and the certificates of those who sign."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from orbital.v1.receipt_pb2 import Proof, ProofStatement

from gateway.domain.proof import Certified, collect
from gateway.flow.wake import work
from gateway.ports.audit import Signature
from gateway.ports.proof import Authority, ProofStore, Signer
from gateway.ports.serving import ReadStore
from runtime.errors import NotFound, Precondition, Stalled, Unavailable
from runtime.lifecycle import Backoff
from runtime.proof import GATEWAY_SIGNER, region_signer
from runtime.signing import key_id

RECEIPTS, PROOFS = "receipts", "proofs"
RENEW_AT = 2 / 3
LOOK_SECONDS = 60.0


class Proofs:
    """Proofs of one gateway. Without a signer everything is Unavailable, and says so."""

    def __init__(
        self,
        store: ProofStore,
        reads: ReadStore,
        authority: Authority | None,
        signer: Signer | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._reads = reads
        self._authority = authority
        self._signer = signer
        self._clock = clock

    async def certify(self, region: str, request: bytes) -> Certified:
        """A certificate of the key by which a region signs receipts, kept before it is given."""
        return await self._certify(RECEIPTS, region_signer(region), request)

    async def _certify(self, role: str, name: str, request: bytes) -> Certified:
        if self._authority is None:
            raise Unavailable("This gateway has no authority that could certify a key", reason="NO_AUTHORITY")
        certified = await self._authority.certify(role, name, request)
        await self._store.keep_certificate(certified)
        return certified

    async def proof(self, correlation_id: str) -> Proof:
        """The proof of a change as it stands now; raises NotFound or, if it revokes nothing, Precondition."""
        job, _ = await self._reads.trace(correlation_id)
        if job is None:
            raise NotFound(
                f"No change has the correlation ID {correlation_id[:64]!r}",
                reason="UNKNOWN_CORRELATION_ID",
                field="correlation_id",
            )
        shares = await self._store.shares(correlation_id)
        if not shares:
            raise Precondition(
                "This change revokes nothing in any region, so there is nothing to prove",
                reason="NOTHING_TO_PROVE",
                field="correlation_id",
            )
        signer, certified = await self._own()
        lost = await self._store.lost(correlation_id)
        gone = {region.region for region in lost}
        # A region that is gone for good proves nothing any more; what it may hold is stated instead.
        shares = [one for one in shares if one.receipt or one.region not in gone]
        known = await self._store.certificates([*{one.signed.key_id for one in shares if one.receipt}])
        found = collect(shares, known, certified)
        statement = ProofStatement(
            correlation_id=correlation_id,
            actor=job.actor,
            action=job.action,
            detail=job.detail,
            entries=found.entries,
            certificates_sha256=[sha256(one).digest() for one in found.certificates],
            key_id=certified.key_id,
            lost=lost,
        )
        statement.make_time.FromDatetime(self._clock())
        packed = statement.SerializeToString(deterministic=True)
        signature = await signer.sign(packed)
        return Proof(statement=packed, signature=signature, receipts=found.receipts, certificates=found.certificates)

    @property
    def can_sign(self) -> bool:
        """Whether this process has the gateway's key."""
        return self._signer is not None

    async def sign(self, message: bytes) -> Signature:
        """Sign by the gateway's key; raises Unavailable while it cannot be used or is not certified."""
        signer, certified = await self._own()
        return Signature(certified.key_id, await signer.sign(message), [certified.certificate, *certified.chain])

    async def _own(self) -> tuple[Signer, Certified]:
        if self._signer is None:
            raise Unavailable("This gateway has no key to sign by", reason="NO_SIGNER")
        own = key_id(await self._signer.public_key())
        known = (await self._store.certificates([own])).get(own, ())
        certified = next((one for one in reversed(known) if one.ends_at > self._clock()), None)
        if certified is None:
            raise Unavailable("The gateway's signing key is not certified yet", reason="NOT_CERTIFIED")
        return self._signer, certified

    async def run(self, backoff: Backoff) -> None:
        """Keep the gateway's own key certified, until cancelled."""
        signer = self._signer
        if signer is not None:
            await work("certify", asyncio.Event(), LOOK_SECONDS, lambda: self._renew(signer), backoff)

    async def _renew(self, signer: Signer) -> bool:
        """Certify the own key when two thirds of its certificate's life are over; never more to do at once."""
        try:
            own = key_id(await signer.public_key())
            known = (await self._store.certificates([own])).get(own, ())
            if not any(self._clock() < renew_at(one) for one in known):
                await self._certify(PROOFS, GATEWAY_SIGNER, await signer.request("gateway proofs"))
        except Stalled as error:
            # A person has to act, and until then everything else goes on.
            raise Unavailable(error.message, reason=error.reason) from error
        return False


def renew_at(certified: Certified) -> datetime:
    """When a new certificate is due."""
    return certified.begins_at + (certified.ends_at - certified.begins_at) * RENEW_AT
