"""VerifyService: what the region holds, where its parts disagree, and which heads of the audit trail it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from orbital.v1 import verify_pb2 as pb
from orbital.v1 import verify_pb2_grpc
from orbital.v1.audit_pb2 import SignedAuditHead

from region.ports.journal import Journal
from region.ports.verifying import Verifying
from runtime.page import LARGEST, fitting, page_size, read_token, write_token

MOST_HEADS = 1000  # of a page
Context = grpc.aio.ServicerContext[Any, Any]


class VerifyRpc(verify_pb2_grpc.VerifyServiceServicer):
    """See proto/orbital/v1/verify.proto."""

    def __init__(self, verifying: Verifying, journal: Journal) -> None:
        self._verifying = verifying
        self._journal = journal

    async def ListHeld(
        self,
        request: pb.ListHeldRequest,
        context: Context,
    ) -> AsyncIterator[pb.HeldResource]:
        """See the proto."""
        for one in await self._verifying.held():
            yield pb.HeldResource(
                name=one.name,
                record_generation=one.generation,
                record_state=one.state,
                key_versions=one.versions,
                journal_generation=one.journal,
                disagreements=[pb.Disagreement(reason=reason, message=said) for reason, said in one.disagreements],
            )

    async def ListAuditHeads(
        self,
        request: pb.ListAuditHeadsRequest,
        context: Context,
    ) -> pb.ListAuditHeadsResponse:
        """See the proto."""
        size = page_size(request.page_size, MOST_HEADS)
        up_to, skipped = read_token(request.page_token, (int, int)) if request.page_token else (LARGEST, 0)
        kept = await self._journal.audit_heads(size + 1, int(up_to), int(skipped))
        heads = fitting([_read(head) for _, head in kept[:size]])
        if len(heads) == len(kept):
            return pb.ListAuditHeadsResponse(heads=heads)
        sequences = [sequence for sequence, _ in kept[: len(heads)]]
        last = sequences[-1]
        told = sequences.count(last) + (int(skipped) if last == up_to else 0)
        return pb.ListAuditHeadsResponse(heads=heads, next_page_token=write_token(last, told))


def _read(kept: bytes) -> SignedAuditHead:
    """A head as it was kept; a row that became unreadable is told as a head that no signature fits."""
    try:
        return SignedAuditHead.FromString(kept)
    except DecodeError:
        return SignedAuditHead(head=kept)
