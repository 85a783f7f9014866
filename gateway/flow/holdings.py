"""Finds that the database was restored from a backup, and takes up what regions hold beyond it.

A region proves it by a signed head of the audit trail that the trail does not have. See
docs/adr/0024-a-restored-database-is-made-whole-by-its-regions.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from google.protobuf.message import DecodeError
from orbital.v1.audit_pb2 import AuditHead, SignedAuditHead
from orbital.v1.dispatch_pb2 import Beat, HeldResources, Open, Opened
from orbital.v1.dispatch_pb2 import Holdings as Page

from gateway.domain.holdings import check_held
from gateway.flow.receipts import signed_by
from gateway.flow.security import Security
from gateway.ports.holdings import HoldingStore
from gateway.ports.proof import ProofStore
from gateway.ports.security import SecurityEvent, Verifies
from runtime.content import check_content
from runtime.errors import Denied, Invalid, Unavailable
from runtime.logs import get_logger
from runtime.proof import GATEWAY_SIGNER
from runtime.signatures import HOLDINGS, WRONG_REGION, region_identity
from runtime.wellknown import utc

log = get_logger(__name__)

# Of each region one process tells for both.
TELLING_LANE = 0


class Holdings:
    """The questions of one gateway process to the regions whose streams are open in it."""

    def __init__(
        self,
        store: HoldingStore,
        certificates: ProofStore,
        keys: Verifies,
        security: Security,
        newest: Callable[[], SignedAuditHead | None],
        entropy: Callable[[], str],
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._keys = keys
        self._security = security
        self._newest = newest
        self._entropy = entropy
        self._given: SignedAuditHead | None = None
        self._open: Counter[str] = Counter()
        self._questions: dict[str, str] = {}

    async def opening(self, opening: Open, opened: Opened) -> None:
        """Ask the region what it holds if it proves that the database went back."""
        if opening.lane == TELLING_LANE and opening.HasField("audit_head"):
            head = await self._read(opening.audit_head, opening.region)
            if head is not None and await self._store.lost(head):
                await self._ask(opening.region, head)
            opened.ask_holdings = self._questions.get(opening.region, "")

    async def _read(self, signed: SignedAuditHead, region: str) -> AuditHead | None:
        """The head, if the gateway's own key signed it."""
        try:
            head = AuditHead.FromString(signed.head)
            check_content(head, "open.audit_head")
        except (DecodeError, Invalid):
            return None
        known = (await self._certificates.certificates([signed.key_id])).get(signed.key_id, ())
        if any(signed_by(one, GATEWAY_SIGNER, signed.signature, signed.head) for one in known):
            return head
        log.warning("audit_head_not_ours", region=region, sequence=head.sequence)
        return None

    async def _ask(self, region: str, head: AuditHead) -> None:
        if await self._store.ask(region, head, utc(head.sign_time)):
            log.error("database_went_back", region=region, lost_sequence=head.sequence)
            self._questions.setdefault(region, self._entropy())

    @contextmanager
    def open(self, opening: Open) -> Iterator[None]:
        """The region can be asked inside the block, if it is the lane that tells."""
        if opening.lane != TELLING_LANE:
            yield
            return
        self._open[opening.region] += 1
        try:
            yield
        finally:
            self._open[opening.region] -= 1
            if not self._open[opening.region]:
                del self._open[opening.region]
                # A new stream proves it anew.
                self._questions.pop(opening.region, None)

    def tell(self, opening: Open, beat: Beat) -> None:
        """Put an open question into a proof of life."""
        if opening.lane == TELLING_LANE:
            beat.ask_holdings = self._questions.get(opening.region, "")

    async def take(self, principal: str, opening: Open, page: Page) -> None:
        """Adopt a page; raises Denied or Invalid for one that is not the region's answer to the question."""
        region = opening.region
        try:
            content = await self._keys.verify(page.signed, HOLDINGS, region_identity(region))
            held = _parsed(content, region)
        except (Denied, Invalid) as error:
            await self._security.alarm(SecurityEvent(region, "holdings", error.reason, error.message, principal))
            raise
        if not held.question or held.question != self._questions.get(region):
            return
        await self._store.adopt(region, held.resources, last=held.last)
        if held.last:
            log.info("holdings_adopted", region=region)
            self._questions.pop(region, None)

    async def run(self, seconds: float) -> None:
        """Look every so often whether the database went back while streams were open, until cancelled."""
        while True:
            try:
                await self.step()
            except Unavailable as error:
                log.debug("holdings_not_compared", reason=error.reason)
            await asyncio.sleep(seconds)

    async def step(self) -> None:
        """Ask every region with an open stream, if the trail has lost the newest head that this process gave them."""
        given, newest = self._given, self._newest()
        if given is not None and (newest is None or newest.head != given.head):
            head = AuditHead.FromString(given.head)
            if await self._store.lost(head):
                for region in sorted(self._open):
                    await self._ask(region, head)
        self._given = newest


def _parsed(content: bytes, region: str) -> HeldResources:
    try:
        held = HeldResources.FromString(content)
    except DecodeError as error:
        raise Invalid("What is signed are no HeldResources", reason="MALFORMED", field="holdings.signed") from error
    if held.region != region:
        raise Denied(f"The holdings are of region {held.region[:64]!r}, and this is {region}", reason=WRONG_REGION)
    check_held(held)
    return held
