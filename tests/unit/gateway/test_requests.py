"""Every method of the gateway refuses what cannot be kept, as INVALID_ARGUMENT with the field, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from orbital.v1 import (
    approval_pb2,
    audit_pb2,
    dispatch_pb2,
    edge_pb2,
    enrolment_pb2,
    flag_pb2,
    parked_pb2,
    policy_pb2,
    receipt_pb2,
    registry_pb2,
    report_pb2,
    trace_pb2,
)  # fmt: skip

from gateway.adapters.rpc.services import ADD, serve
from runtime.errors import Invalid, OrbitalError
from runtime.rpc import from_rpc_error
from tests.unit.runtime.poison import poisoned

CONTRACTS = (
    approval_pb2, audit_pb2, dispatch_pb2, edge_pb2, enrolment_pb2, flag_pb2, parked_pb2, policy_pb2, receipt_pb2,
    registry_pb2, report_pb2, trace_pb2,
)  # fmt: skip
METHODS: list[MethodDescriptor] = [
    method
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    if service.name.removesuffix("Service") in ADD
    for method in service.methods
]


class Answers:
    """Every method of a service: an empty answer to whatever comes through."""

    def __init__(self, name: str) -> None:
        for method in METHODS:
            if method.containing_service.name == f"{name}Service":
                setattr(self, method.name, self._answering(method))

    def _answering(self, method: MethodDescriptor) -> Any:
        answer = GetMessageClass(method.output_type)

        async def unary(request: Message, context: Any) -> Message:
            return answer()

        async def stream(request: Message, context: Any) -> AsyncIterator[Message]:
            yield answer()

        async def both(requests: AsyncIterator[Message], context: Any) -> None:
            async for _ in requests:
                await context.write(answer())

        return both if method.client_streaming else stream if method.server_streaming else unary


async def refusal(channel: grpc.aio.Channel, method: MethodDescriptor, request: bytes) -> OrbitalError | None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    raw = {"request_serializer": bytes, "response_deserializer": bytes}
    try:
        if method.client_streaming:
            await anext(aiter(channel.stream_stream(path, **raw)(iter([request]), timeout=10)))
        elif method.server_streaming:
            await anext(aiter(channel.unary_stream(path, **raw)(request, timeout=10)))
        else:
            await channel.unary_unary(path, **raw)(request, timeout=10)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    address = f"unix:{tmp_path / 's'}"
    async with serve(address, {name: Answers(name) for name in ADD}), grpc.aio.insecure_channel(address) as opened:
        yield opened


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_it_refuses_what_cannot_be_kept_and_names_the_field(
    channel: grpc.aio.Channel, method: MethodDescriptor
) -> None:
    # One of each field: what all kinds of bad values look like is shown where the check is.
    for where, message in dict(poisoned(method.input_type)).items():
        found = await refusal(channel, method, message.SerializeToString())
        assert isinstance(found, Invalid), (where, found)
        assert found.field == where
    assert await refusal(channel, method, b"") is None
    malformed = await refusal(channel, method, b"\xff\xff\xff")
    assert isinstance(malformed, Invalid)
    assert malformed.reason == "MALFORMED"
