"""gRPC health: of the region's own processes over their sockets, and of the gateway through both sidecars."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checker.adapters.rpc.channel import open_channel
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import About
from runtime.errors import Unavailable
from runtime.rpc import from_rpc_error

SERVING = health_pb2.HealthCheckResponse.SERVING


class HealthProbe:
    """See checker.ports.probe.Probe. The channel is opened at the first look and kept."""

    def __init__(self, about: About, target: str) -> None:
        self.about = about
        self._target = target
        self._channel: grpc.aio.Channel | None = None

    async def look(self) -> Finding:
        """See the port."""
        if self._channel is None:
            self._channel = open_channel(self._target)
        ask: Any = health_pb2_grpc.HealthStub(self._channel)
        try:
            answer = await ask.Check(health_pb2.HealthCheckRequest(), timeout=self.about.timeout)
        except grpc.RpcError as error:
            said = from_rpc_error(error)
            raise Unavailable(
                f"{self.about.component} cannot be reached: {said.message}", reason=_reason(said.reason)
            ) from error
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        if answer.status != SERVING:
            text = f"{self.about.component} says that it does not serve."
            return Finding(Status.OUT_OF_SYNC, "NOT_SERVING", text, (("health", state),))
        return healthy(("health", state))

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()


def _reason(reason: str) -> str:
    """A sidecar's reason says more than ours; the plain one of a status does not."""
    return reason if reason.startswith(("GATEWAY_", "POLICY_", "TOKEN_", "REGION_")) else Unavailable.default_reason
