"""The gateway by the listener that asks for no certificate, because the region has none yet."""

from __future__ import annotations

from pathlib import Path

import grpc
from orbital.v1 import enrolment_pb2, enrolment_pb2_grpc

from runtime.channels import open_aio_channel
from runtime.files import read_bytes
from runtime.rpc import from_rpc_error

SECONDS = 15.0


class GrpcEnroller:
    """See region.ports.identity.Enroller."""

    def __init__(self, target: str, ca_file: Path, region: str) -> None:
        self._target = target
        self._ca_file = ca_file
        self._region = region

    async def redeem(self, token: str, request: bytes) -> enrolment_pb2.RedeemResponse:
        """See the port."""
        asked = enrolment_pb2.RedeemRequest(region=self._region, token=token, signing_request=request)
        trust = grpc.ssl_channel_credentials(read_bytes(self._ca_file))
        async with open_aio_channel(self._target, trust) as channel:
            stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
            try:
                answer: enrolment_pb2.RedeemResponse = await stub.Redeem(asked, timeout=SECONDS)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error
            return answer
