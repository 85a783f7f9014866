"""Bytes that are not the message of a method, at every method of a server: INVALID_ARGUMENT, and nothing in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from orbital.v1 import dispatch_pb2, dispatch_pb2_grpc, registry_pb2, registry_pb2_grpc

from runtime.rpc import Server
from tests.unit.runtime.test_streams import Endless

SERVICES = [
    *(health_pb2.DESCRIPTOR.services_by_name.values()),
    *(reflection_pb2.DESCRIPTOR.services_by_name.values()),
    *(dispatch_pb2.DESCRIPTOR.services_by_name.values()),
]
METHODS = [
    *(method for service in SERVICES for method in service.methods),
    registry_pb2.DESCRIPTOR.services_by_name["RegistryService"].methods_by_name["WatchRegions"],
]
MALFORMED = (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x0a\x01\xff")


class Reading(Endless):
    """Reads what it is sent."""

    async def Subscribe(self, requests: Any, context: Any) -> None:  # noqa: N802 - the contract's name
        async for _ in requests:
            pass


@asynccontextmanager
async def served(place: Path) -> AsyncIterator[grpc.aio.Channel]:
    address = f"unix:{place / 'socket'}"
    server = Server(address, ["orbital.v1.RegistryService"])
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(Endless(), server.grpc)
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(Reading(), server.grpc)
    async with server.running(0.1), grpc.aio.insecure_channel(address) as channel:
        await server.serving(True)
        yield channel


def called(channel: grpc.aio.Channel, method: Any, packed: bytes) -> Callable[[], Any]:
    """What waits for the first answer of a call with these bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return lambda: channel.stream_stream(path)(iter([packed]), timeout=5).read()
    if method.server_streaming:
        return lambda: channel.unary_stream(path)(packed, timeout=5).read()
    return lambda: channel.unary_unary(path)(packed, timeout=5)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_it_is_refused_as_malformed(method: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # A method without fields takes any bytes that are a message.
    bad = MALFORMED[:1] if not method.input_type.fields else MALFORMED
    async with served(tmp_path) as channel:
        for packed in bad:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await called(channel, method, packed)()
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, refused.value.details()
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_health_can_be_listed(tmp_path: Path) -> None:
    async with served(tmp_path) as channel:
        listed = channel.unary_unary(
            "/grpc.health.v1.Health/List", response_deserializer=health_pb2.HealthListResponse.FromString
        )
        found = await listed(b"")
    assert {name: each.status for name, each in found.statuses.items()} == dict.fromkeys(
        ("", "orbital.v1.RegistryService"), health_pb2.HealthCheckResponse.SERVING
    )
