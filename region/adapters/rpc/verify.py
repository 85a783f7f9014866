"""VerifyService: what the region holds, and where its parts disagree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from orbital.v1 import verify_pb2 as pb
from orbital.v1 import verify_pb2_grpc

from region.ports.verifying import Verifying


class VerifyRpc(verify_pb2_grpc.VerifyServiceServicer):
    """See proto/orbital/v1/verify.proto."""

    def __init__(self, verifying: Verifying) -> None:
        self._verifying = verifying

    async def ListHeld(  # noqa: N802
        self,
        request: pb.ListHeldRequest,  # noqa: ARG002
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002
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
