"""EdgeService: what regions say of their edges."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1.edge_pb2 import ObserveRequest, ObserveResponse
from orbital.v1.edge_pb2_grpc import EdgeServiceServicer

from gateway.adapters.rpc.caller import calling_region
from gateway.ports.edges import EdgeIntake, Observation


class EdgeRpc(EdgeServiceServicer):
    """See edge.proto."""

    def __init__(self, intake: EdgeIntake) -> None:
        self._intake = intake

    async def Observe(self, request: ObserveRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ObserveResponse:
        """See edge.proto."""
        _, region = calling_region(context, request.region)
        sent_at = request.send_time.seconds + request.send_time.nanos * 1e-9
        since = request.counted_since if request.HasField("counted_since") else None
        await self._intake.submit(Observation(region, request.edges, sent_at, request.uses, since))
        return ObserveResponse()
