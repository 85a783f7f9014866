"""DispatchService and ReportService: what regions call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from orbital.v1.dispatch_pb2 import SubscribeRequest, SubscribeResponse
from orbital.v1.dispatch_pb2_grpc import DispatchServiceServicer
from orbital.v1.report_pb2 import ReportRequest, ReportResponse
from orbital.v1.report_pb2_grpc import ReportServiceServicer

from gateway.adapters.rpc.caller import calling_lane, calling_region
from gateway.ports.serving import LaneStreams, ReportIntake
from runtime.errors import Unavailable


class DispatchRpc(DispatchServiceServicer):
    """The lane stream."""

    def __init__(self, lanes: LaneStreams) -> None:
        self._lanes = lanes

    async def Subscribe(  # type: ignore[override]  # the coroutine form of a stream, which has one writer
        self, request_iterator: AsyncIterator[SubscribeRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """See dispatch.proto."""
        principal, region = calling_region(context)

        async def send(response: SubscribeResponse) -> None:
            try:
                await context.write(response)
            except grpc.aio.InternalError as error:
                raise Unavailable("The region has left the stream", reason="CALLER_LEFT") from error

        await self._lanes.serve(principal, region, request_iterator, send)


class ReportRpc(ReportServiceServicer):
    """Reports outside a stream."""

    def __init__(self, reports: ReportIntake) -> None:
        self._reports = reports

    async def Report(self, request: ReportRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ReportResponse:
        """See report.proto."""
        principal, region = calling_region(context, request.region)
        lane = calling_lane(context)
        return ReportResponse(refused=await self._reports.submit(principal, region, request.signed, lane))
