"""Tells a control plane that was restored from a backup what the region holds, so that nothing done since is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError
from orbital.v1 import dispatch_pb2 as pb
from orbital.v1.audit_pb2 import SignedAuditHead

from region.flow.marks import StateMarks
from region.flow.signals import Wakeup
from region.ports.journal import Journal
from region.ports.signing import Signs
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.signatures import HOLDINGS

log = get_logger(__name__)

# Resources of one page: the contract's limit.
PAGE = 500
# A page is kept far below what a stream takes at once.
MOST_BYTES = 2 * 2**20
LOOK = 5.0
TELLING_LANE = 0

Send = Callable[[pb.SubscribeRequest], Awaitable[None]]


class Holdings:
    """What the region holds, page by page, once for each question."""

    def __init__(self, region: str, journal: Journal, marks: StateMarks, signer: Signs) -> None:
        self._region = region
        self._journal = journal
        self._marks = marks
        self._signer = signer
        self._asked = Wakeup()
        self._question = ""
        self._answered = ""

    async def open(self, opening: pb.Open) -> None:
        """Put the newest head of the audit trail into the opening of a stream, and be ready to be asked anew."""
        self._answered = ""
        if opening.lane != TELLING_LANE:
            return
        heads = await self._journal.audit_heads(1)
        if heads:
            try:
                opening.audit_head.CopyFrom(SignedAuditHead.FromString(heads[0][1]))
            except DecodeError:
                log.warning("audit_head_unreadable")

    def asked(self, question: str) -> None:
        """The control plane asks; an empty question is none."""
        if question and question != self._question:
            self._question = question
            self._marks.control_plane_went_back()
            self._asked.give()

    async def run(self, send: Send) -> None:
        """Answer each question once, for as long as the stream lives."""
        while True:
            if self._question and self._question != self._answered:
                question = self._question
                try:
                    await self._tell(question, send)
                    self._answered = question
                except Unavailable as error:
                    log.warning("holdings_not_told", reason=error.reason)
            await self._asked.wait(LOOK)

    async def _tell(self, question: str, send: Send) -> None:
        held = await self._marks.held()
        names, count = sorted(held), 0
        while True:
            page = pb.HeldResources(region=self._region, question=question)
            size = 0
            while count < len(names) and len(page.resources) < PAGE and size < MOST_BYTES:
                page.resources.append(held[names[count]])
                size += page.resources[-1].ByteSize()
                count += 1
            page.last = count == len(names)
            signed = self._signer.sign(HOLDINGS, page.SerializeToString())
            await send(pb.SubscribeRequest(holdings=pb.Holdings(signed=signed)))
            if page.last:
                log.warning("holdings_told", resources=count)
                return
