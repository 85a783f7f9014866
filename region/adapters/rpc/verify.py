"""VerifyService: what the region holds, where its parts disagree, and which heads of the audit trail it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from orbital.v1 import verify_pb2 as pb
from orbital.v1 import verify_pb2_grpc
from orbital.v1.audit_pb2 import SignedAuditHead

from region.ports.journal import Journal
from region.ports.verifying import Verifying

HEADS_MOST = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class VerifyRpc(verify_pb2_grpc.VerifyServiceServicer):
    """See proto/orbital/v1/verify.proto."""

    def __init__(self, verifying: Verifying, journal: Journal) -> None:
        self._verifying = verifying
        self._journal = journal

    async def ListHeld(  # noqa: N802
        self,
        request: pb.ListHeldRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
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

    async def ListAuditHeads(  # noqa: N802
        self,
        request: pb.ListAuditHeadsRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> pb.ListAuditHeadsResponse:
        """See the proto."""
        heads = [SignedAuditHead.FromString(head) for head in await self._journal.audit_heads(HEADS_MOST)]
        return pb.ListAuditHeadsResponse(heads=heads)
