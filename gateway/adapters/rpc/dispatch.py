"""DispatchService, ReportService and EnrolmentService: what regions call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import grpc
from orbital.v1.dispatch_pb2 import SubscribeRequest, SubscribeResponse
from orbital.v1.dispatch_pb2_grpc import DispatchServiceServicer
from orbital.v1.enrolment_pb2 import CertifyRequest, CertifyResponse, EnrolRequest, EnrolResponse
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceServicer
from orbital.v1.report_pb2 import ReportRequest, ReportResponse
from orbital.v1.report_pb2_grpc import ReportServiceServicer

from gateway.adapters.rpc.caller import calling_lane, calling_region
from gateway.ports.serving import LaneStreams, Prover, ReportIntake, Sight
from runtime.errors import NotFound
from runtime.fields import check_length
from runtime.logs import get_logger

log = get_logger(__name__)
MAX_REQUEST = 4096


class DispatchRpc(DispatchServiceServicer):
    """The lane stream."""

    def __init__(self, lanes: LaneStreams) -> None:
        self._lanes = lanes

    async def Subscribe(  # type: ignore[override]  # noqa: N802  # the coroutine form of a stream, which has one writer
        self, request_iterator: AsyncIterator[SubscribeRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """See dispatch.proto."""
        principal, region = calling_region(context)

        async def send(response: SubscribeResponse) -> None:
            await context.write(response)

        await self._lanes.serve(principal, region, request_iterator, send)


class ReportRpc(ReportServiceServicer):
    """Reports outside a stream."""

    def __init__(self, reports: ReportIntake) -> None:
        self._reports = reports

    async def Report(  # noqa: N802
        self, request: ReportRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ReportResponse:
        """See report.proto."""
        principal, region = calling_region(context, request.region)
        lane = calling_lane(context)
        return ReportResponse(refused=await self._reports.submit(principal, region, request.signed, lane))


class EnrolmentRpc(EnrolmentServiceServicer):
    """How a region becomes known."""

    def __init__(self, sight: Sight, prover: Prover, clock: Callable[[], datetime]) -> None:
        self._sight = sight
        self._prover = prover
        self._clock = clock

    async def Enrol(  # noqa: N802
        self, request: EnrolRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> EnrolResponse:
        """See enrolment.proto."""
        _, region = calling_region(context, request.region)
        check_length(len(request.version), 0, 100, "version")
        check_length(len(request.process), 0, 100, "process")
        declared = await self._sight.resource(f"regions/{region}")
        if declared is None:
            raise NotFound(f"The region {region!r} is not declared", reason="UNKNOWN_REGION", field="region")
        log.info("enrolled", region=region, version=request.version, region_process=request.process)
        answer = EnrolResponse(labels=declared.labels)
        answer.time.FromDatetime(self._clock())
        return answer

    async def Certify(  # noqa: N802
        self, request: CertifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> CertifyResponse:
        """See enrolment.proto."""
        _, region = calling_region(context, request.region)
        check_length(len(request.signing_request), 1, MAX_REQUEST, "signing_request", "bytes")
        certified = await self._prover.certify(region, request.signing_request)
        log.info("receipts_certified", region=region, ends_at=certified.ends_at.isoformat())
        answer = CertifyResponse(certificate=certified.certificate)
        answer.expire_time.FromDatetime(certified.ends_at)
        return answer
