"""An L1 provider, the HSM or another one: the region's process wraps and unwraps with it for real.

The provider's library or credentials are in the region's process alone, so that is asked, through the region's Envoy.
"""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import inspect_pb2, inspect_pb2_grpc

from checker.adapters.envoy.client import RegionClient
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import SIDECAR_UNREACHABLE, ProbeInfo, StatelessProbe
from runtime.errors import OrbitalError, Unavailable

PART = "region-immediate"
# The region's own; every other one is a customer's, and its absence is no fault of the region.
OWN = "hsm"


class ProviderProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `name` is the provider's, for instance hsm."""

    def __init__(self, name: str, client: RegionClient, period: float, timeout: float) -> None:
        self.about = ProbeInfo(name, name, "operation", f"{name.upper()}_UNREACHABLE", period, timeout)
        self._client = client

    async def look(self) -> Finding:
        """See the port."""
        name = self.about.name
        try:
            said = await self._client.call(PART, self._try)
        except OrbitalError as error:
            if error.reason == SIDECAR_UNREACHABLE:
                raise
            if not isinstance(error, Unavailable) or error.reason == Unavailable.default_reason:
                text = f"The process that uses {name} does not answer for it: {error.message}"
                return Finding(Status.UNKNOWN, "PROVIDER_NOT_TRIED", text, (("provider", name),))
            values = (("provider", name), ("self_test", error.message))
            if name != OWN:
                text = f"{error.message}. What its owners allowed is served on."
                return Finding(Status.DEGRADED, error.reason, text, values)
            text = f"{error.message}. Nothing can be linked or restored, and OpenBao cannot be unsealed."
            return Finding(Status.OUT_OF_SYNC, error.reason, text, values)
        return healthy(("provider", name), *sorted(said.values.items()), version=said.version)

    async def _try(self, channel: grpc.aio.Channel) -> inspect_pb2.TryProviderResponse:
        stub: Any = inspect_pb2_grpc.InspectServiceStub(channel)
        answer: inspect_pb2.TryProviderResponse = await stub.TryProvider(
            inspect_pb2.TryProviderRequest(provider=self.about.name)
        )
        return answer
