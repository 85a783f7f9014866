"""The gateway's services, called through the region's own Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from orbital.v1 import (
    dispatch_pb2,
    dispatch_pb2_grpc,
    edge_pb2,
    edge_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    report_pb2,
    report_pb2_grpc,
)
from orbital.v1.signed_pb2 import Signed

from runtime.channels import open_aio_channel
from runtime.errors import Unavailable
from runtime.rpc import from_rpc_error

# A write that the other side does not take in this time means that the stream is stuck.
WRITE_TIMEOUT = 30.0
CALL_TIMEOUT = 5.0


class LaneStream:
    """See region.ports.gateway.Stream."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, message: dispatch_pb2.SubscribeRequest) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._call.write(message)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        except asyncio.InvalidStateError as error:
            raise Unavailable("The stream has ended", reason="STREAM_ENDED") from error
        except TimeoutError as error:
            raise Unavailable("The gateway does not take what is sent", reason="STREAM_STUCK") from error

    async def messages(self) -> AsyncIterator[dispatch_pb2.SubscribeResponse]:
        """See the port."""
        while True:
            try:
                # The flow above bounds how long it waits here.
                message: Any = await self._call.read()
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error
            if message is grpc.aio.EOF:
                return
            yield message


class GrpcGateway:
    """See region.ports.gateway.Gateway. Each lane has a connection of its own."""

    def __init__(self, target: str, region: str) -> None:
        self._target = target
        self._region = region

    def _channel(self) -> grpc.aio.Channel:
        options = {"grpc.use_local_subchannel_pool": 1, "grpc.default_authority": "gateway"}
        return open_aio_channel(self._target, options=options)

    def _metadata(self, lane: int) -> tuple[tuple[str, str], ...]:
        return (("x-orbital-region", self._region), ("x-orbital-lane", str(lane)))

    @asynccontextmanager
    async def subscribe(self, lane: int) -> AsyncIterator[LaneStream]:
        """See the port."""
        async with self._channel() as channel:
            call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(metadata=self._metadata(lane))
            try:
                yield LaneStream(call)
            finally:
                call.cancel()

    async def enrol(self, version: str, process: str) -> enrolment_pb2.EnrolResponse:
        """See the port."""
        request = enrolment_pb2.EnrolRequest(region=self._region, version=version, process=process)
        async with self._channel() as channel:
            stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
            metadata = (("x-orbital-region", self._region),)
            try:
                answer: enrolment_pb2.EnrolResponse = await stub.Enrol(request, metadata=metadata, timeout=CALL_TIMEOUT)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error
            return answer

    async def certify(self, request: bytes) -> enrolment_pb2.CertifyResponse:
        """See the port."""
        asked = enrolment_pb2.CertifyRequest(region=self._region, signing_request=request)
        async with self._channel() as channel:
            stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
            metadata = (("x-orbital-region", self._region),)
            try:
                answer: enrolment_pb2.CertifyResponse = await stub.Certify(
                    asked, metadata=metadata, timeout=CALL_TIMEOUT
                )
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error
            return answer

    async def observe(self, said: edge_pb2.ObserveRequest) -> None:
        """See region.ports.edge.EdgeObserver."""
        said.region = self._region
        async with self._channel() as channel:
            stub = edge_pb2_grpc.EdgeServiceStub(channel)
            metadata = (("x-orbital-region", self._region),)
            try:
                await stub.Observe(said, metadata=metadata, timeout=CALL_TIMEOUT)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error

    async def report(self, lane: int, signed: Signed) -> list[dispatch_pb2.RefusedReport]:
        """See the port."""
        request = report_pb2.ReportRequest(region=self._region, signed=signed)
        async with self._channel() as channel:
            stub = report_pb2_grpc.ReportServiceStub(channel)
            try:
                answer = await stub.Report(request, metadata=self._metadata(lane), timeout=CALL_TIMEOUT)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error
            return list(answer.refused)
