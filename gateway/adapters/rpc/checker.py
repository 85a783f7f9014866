"""CheckerService: what regions' checkers call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from orbital.v1.flag_pb2 import ListQueuesRequest, ListQueuesResponse, Queue, SignalRequest, SignalResponse
from orbital.v1.flag_pb2_grpc import CheckerServiceServicer

from gateway.adapters.rpc.caller import calling_region
from gateway.ports.flags import FlagIntake, QueueSight


class CheckerRpc(CheckerServiceServicer):
    """See flag.proto."""

    def __init__(self, intake: FlagIntake, queues: QueueSight, clock: Callable[[], datetime]) -> None:
        self._intake = intake
        self._queues = queues
        self._clock = clock

    async def Signal(  # noqa: N802
        self, request: SignalRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> SignalResponse:
        """See flag.proto."""
        principal, region = calling_region(context, request.region)
        answer = SignalResponse()
        await self._intake.submit(principal, region, request.signed)
        answer.time.FromDatetime(self._clock())
        return answer

    async def ListQueues(  # noqa: N802
        self, request: ListQueuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ListQueuesResponse:
        """See flag.proto."""
        _, region = calling_region(context, request.region)
        found = await self._queues.queues(region)
        return ListQueuesResponse(
            queues=[
                Queue(lane=each.lane, name=each.name, messages=each.messages, consumers=each.consumers)
                for each in found
            ],
            broker_version=self._queues.version,
        )
