"""CheckerService: what regions' checkers call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from orbital.v1.flag_pb2 import ListQueuesRequest, ListQueuesResponse, Queue, SignalRequest, SignalResponse
from orbital.v1.flag_pb2_grpc import CheckerServiceServicer

from gateway.adapters.rpc.caller import calling_region, certificate_end
from gateway.ports.flags import FlagIntake, QueueReader
from runtime.page import page_after, page_size

MOST_QUEUES = 100  # of a page; a region has one a lane


class CheckerRpc(CheckerServiceServicer):
    """See flag.proto."""

    def __init__(self, intake: FlagIntake, queues: QueueReader, clock: Callable[[], datetime]) -> None:
        self._intake = intake
        self._queues = queues
        self._clock = clock

    async def Signal(self, request: SignalRequest, context: grpc.aio.ServicerContext[Any, Any]) -> SignalResponse:
        """See flag.proto."""
        principal, region = calling_region(context, request.region)
        answer = SignalResponse()
        await self._intake.submit(principal, region, request.signed, certificate_end(context))
        answer.time.FromDatetime(self._clock())
        return answer

    async def ListQueues(
        self, request: ListQueuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ListQueuesResponse:
        """See flag.proto."""
        _, region = calling_region(context, request.region)
        size = page_size(request.page_size, MOST_QUEUES)
        queues = sorted(
            (
                Queue(lane=each.lane, name=each.name, messages=each.messages, consumers=each.consumers)
                for each in await self._queues.queues(region)
            ),
            key=_key,
        )
        found, more = page_after(queues, _key, (int, str), request.page_token, size)
        return ListQueuesResponse(queues=found, broker_version=self._queues.version, next_page_token=more)


def _key(queue: Queue) -> tuple[int, str]:
    return queue.lane, queue.name
