"""ProofService: what regions proved of a change."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1.receipt_pb2 import GetProofRequest, Proof
from orbital.v1.receipt_pb2_grpc import ProofServiceServicer

from gateway.ports.serving import Prover


class ProofRpc(ProofServiceServicer):
    """See receipt.proto."""

    def __init__(self, prover: Prover) -> None:
        self._prover = prover

    async def GetProof(
        self,
        request: GetProofRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> Proof:
        """See receipt.proto."""
        return await self._prover.proof(request.correlation_id)
