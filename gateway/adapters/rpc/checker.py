"""CheckerService: what regions' checkers call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
from orbital.v1.flag_pb2 import SignalRequest, SignalResponse
from orbital.v1.flag_pb2_grpc import CheckerServiceServicer

from gateway.adapters.rpc.caller import calling_region
from gateway.ports.flags import FlagIntake, Signal


class CheckerRpc(CheckerServiceServicer):
    """See flag.proto."""

    def __init__(self, intake: FlagIntake, clock: Callable[[], datetime]) -> None:
        self._intake = intake
        self._clock = clock

    async def Signal(  # noqa: N802
        self, request: SignalRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> SignalResponse:
        """See flag.proto."""
        _, region = calling_region(context, request.region)
        answer = SignalResponse()
        sent_at = request.send_time.seconds + request.send_time.nanos * 1e-9
        await self._intake.submit(Signal(region, request.flags, sent_at, request.versions))
        answer.time.FromDatetime(self._clock())
        return answer
