"""The gateway, there and back through both sidecars."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checker.adapters.envoy.client import RegionClient
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import OrbitalError, Unavailable
from runtime.rpc import PARTS
from runtime.wellknown import label

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING
# A sidecar's reason that says more than ours.
TOLD = ("GATEWAY_", "POLICY_", "TOKEN_", "SIDECAR_")


class GatewayProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `client` is the region's way out."""

    def __init__(self, client: RegionClient, period: float, timeout: float) -> None:
        self.about = ProbeInfo("gateway", "gateway", "health", "GATEWAY_UNREACHABLE", period, timeout)
        self._client = client

    async def look(self) -> Finding:
        """See the port."""
        try:
            answer, parts = await self._client.call("gateway", _ask)
        except OrbitalError as error:
            reason = error.reason if error.reason.startswith(TOLD) else self.about.away
            raise Unavailable(error.message, reason=reason) from error
        state = label(health_pb2.HealthCheckResponse.ServingStatus, answer.status)
        if answer.status != SERVING:
            text = "The gateway says that it does not serve."
            return Finding(Status.OUT_OF_SYNC, "NOT_SERVING", text, (("health", state),))
        if parts == NOT_SERVING:
            text = "A part of the gateway fails and is started again and again; its log names the part and the cause."
            return Finding(Status.DEGRADED, "PART_FAILING", text, (("health", state),))
        return healthy(("health", state))


async def _ask(channel: grpc.aio.Channel) -> tuple[health_pb2.HealthCheckResponse, int]:
    """What the gateway says of itself, and of its parts."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer: health_pb2.HealthCheckResponse = await stub.Check(health_pb2.HealthCheckRequest())
    try:
        parts = (await stub.Check(health_pb2.HealthCheckRequest(service=PARTS))).status
    except grpc.aio.AioRpcError as error:
        # One that does not know the question yet says nothing of its parts.
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        parts = SERVING
    return answer, parts
