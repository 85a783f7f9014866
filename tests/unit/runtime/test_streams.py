"""Streams of a caller: a number at once, and none beyond the end of what the caller showed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from orbital.v1 import dispatch_pb2, dispatch_pb2_grpc, registry_pb2, registry_pb2_grpc

from runtime.errors import Exhausted, Unauthenticated
from runtime.rpc import Server, from_rpc_error
from runtime.streams import OpenStreams

MOST = 5


async def test_a_caller_has_a_number_of_its_own() -> None:
    streams = OpenStreams(MOST)
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(streams.opened({"x-orbital-principal": "a"}))
        with pytest.raises(Exhausted) as refused:
            await stack.enter_async_context(streams.opened({"x-orbital-principal": "a"}))
        assert refused.value.reason == "TOO_MANY_STREAMS"
        await stack.enter_async_context(streams.opened({"x-orbital-principal": "b"}))
    async with streams.opened({"x-orbital-principal": "a"}):
        pass


@pytest.mark.parametrize("end", ["1000.05", "999", "0", "never", b"\xff"])
async def test_a_stream_ends_with_the_identity_that_opened_it(end: str | bytes) -> None:
    streams = OpenStreams(MOST, lambda: 1000.0)
    with pytest.raises(Unauthenticated) as ended:
        async with asyncio.timeout(5), streams.opened({"x-orbital-identity-end": end}):
            await asyncio.sleep(10)
    assert ended.value.reason == "IDENTITY_ENDED"


async def test_a_time_out_of_the_stream_itself_stays_one() -> None:
    streams = OpenStreams(MOST)
    with pytest.raises(TimeoutError):
        async with streams.opened({"x-orbital-identity-end": str(time.time() + 60)}):
            raise TimeoutError


class Endless(registry_pb2_grpc.RegistryServiceServicer, dispatch_pb2_grpc.DispatchServiceServicer):
    """Watches and streams that go on."""

    async def WatchRegions(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the contract's name
        yield registry_pb2.WatchRegionsResponse()
        await asyncio.sleep(60)

    async def Subscribe(self, requests: Any, context: Any) -> None:  # noqa: N802 - the contract's name
        await context.write(dispatch_pb2.SubscribeResponse())
        await asyncio.sleep(60)


@asynccontextmanager
async def serving(place: Path) -> AsyncIterator[grpc.aio.Channel]:
    address = f"unix:{place}/s"
    server = Server(address, ["orbital.v1.RegistryService"], streams=MOST)
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(Endless(), server.grpc)
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(Endless(), server.grpc)
    async with server.running(drain=0.1):
        await server.serving(True)
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel


def opened(channel: grpc.aio.Channel, kind: str, metadata: Any) -> Any:
    if kind == "watch":
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        return stub.WatchRegions(registry_pb2.WatchRegionsRequest(), metadata=metadata)
    if kind == "health":
        return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), metadata=metadata)
    return dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(iter(()), metadata=metadata)


async def read_to_the_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize("kind", ["watch", "health", "lane"])
async def test_every_kind_of_stream_is_counted_and_ends(kind: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as channel, asyncio.timeout(20):
        metadata = (("x-orbital-principal", "one"), ("x-orbital-identity-end", str(time.time() + 1.5)))
        calls = [opened(channel, kind, metadata) for _ in range(MOST)]
        for call in calls:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await opened(channel, kind, metadata).read()
        assert from_rpc_error(refused.value).reason == "TOO_MANY_STREAMS"
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await read_to_the_end(call)
            assert from_rpc_error(ended.value).reason == "IDENTITY_ENDED"
