"""The broker, as far as this region may see it: whether it answers, and the region's own queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from orbital.v1 import flag_pb2, flag_pb2_grpc

from checker.adapters.envoy.client import RegionClient
from checker.domain.queues import Queue, QueueLimits, read
from checker.domain.sample import Finding, Status
from checker.ports.probe import SIDECAR_UNREACHABLE, ProbeInfo, StatelessProbe
from runtime.errors import OrbitalError, Unavailable

AWAY = "BROKER_UNAVAILABLE"


class RabbitMQProbe(StatelessProbe):
    """See checker.ports.probe.Probe. The gateway is asked, because a region has no account of its own there.

    A queue may be without a reader for a while: a stream is opened anew now and then.
    """

    def __init__(
        self,
        *,
        region: str,
        client: RegionClient,
        limits: QueueLimits,
        steady: Callable[[], float],
        period: float,
        timeout: float,
    ) -> None:
        self.about = ProbeInfo("rabbitmq", "rabbitmq", "health", "RABBITMQ_UNREACHABLE", period, timeout)
        self._region = region
        self._client = client
        self._limits = limits
        self._steady = steady
        self._unread_since: dict[int, float] = {}

    async def look(self) -> Finding:
        """See the port."""
        try:
            said = await self._client.call("gateway", self._ask)
        except OrbitalError as error:
            if error.reason == SIDECAR_UNREACHABLE:
                raise
            if error.reason == AWAY:
                raise Unavailable("RabbitMQ does not answer the gateway: tasks wait in its database") from error
            text = f"The gateway does not tell how this region's queues are: {error.message}"
            return Finding(Status.UNKNOWN, "QUEUES_UNKNOWN", text, (("gateway", error.reason),))
        queues = [Queue(each.lane, each.messages, each.consumers) for each in said.queues]
        return read(queues, self._unread(queues), self._limits.messages, said.broker_version)

    def _unread(self, queues: Sequence[Queue]) -> list[int]:
        now = self._steady()
        since = {queue.lane: self._unread_since.get(queue.lane, now) for queue in queues if not queue.consumers}
        self._unread_since = since
        return sorted(lane for lane, at in since.items() if now - at > self._limits.unread)

    async def _ask(self, channel: grpc.aio.Channel) -> flag_pb2.ListQueuesResponse:
        stub: Any = flag_pb2_grpc.CheckerServiceStub(channel)
        request, found = flag_pb2.ListQueuesRequest(region=self._region), flag_pb2.ListQueuesResponse()
        while True:
            page = await stub.ListQueues(request, metadata=(("x-orbital-region", self._region),))
            found.MergeFrom(page)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
