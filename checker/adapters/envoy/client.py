"""The region's parts as its checker reaches them: by HTTP and gRPC through the region's Envoy, and by no other way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import grpc

from checker.adapters.rpc.channel import open_channel
from checker.ports.probe import SIDECAR_UNREACHABLE
from runtime.answers import read_answer
from runtime.errors import Invalid, OrbitalError, Unavailable
from runtime.rpc import from_rpc_error

# Longer than Envoy waits for a part, so that what is heard after this long is that Envoy itself does not answer.
SECONDS = 1.0
REASON = "x-orbital-reason"
T = TypeVar("T")


class RegionClient:
    """`part` is a virtual host of the listener in envoy/listeners/probes.yaml."""

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self._socket = socket
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def get(self, part: str, path: str) -> tuple[int, bytes]:
        """(status, body); Unavailable where the part cannot be reached, SIDECAR_UNREACHABLE where Envoy cannot."""
        try:
            async with asyncio.timeout(SECONDS), self._session.get(f"http://{part}{path}") as answer:
                body = await read_answer(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as error:
            raise _blind(type(error).__name__) from error
        if answer.headers.get(REASON):
            raise Unavailable(f"{part}: {body.decode(errors='replace')}")
        return answer.status, body

    async def call(self, part: str, ask: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
        """The answer of one gRPC call; raises what the part raised, or as `get` does."""
        channel = self._channels.get(part)
        if channel is None:
            channel = self._channels[part] = open_channel(f"unix:{self._socket}", part)
        try:
            async with asyncio.timeout(SECONDS):
                return await ask(channel)
        except TimeoutError as error:
            raise _blind("time-out") from error
        except grpc.RpcError as error:
            said = from_rpc_error(error)
            if isinstance(said, Unavailable) and said.reason == Unavailable.default_reason:
                raise _blind(said.message) from error
            raise _of_the_part(part, said) from error

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()


def _of_the_part(part: str, said: OrbitalError) -> OrbitalError:
    if said.reason == "UPSTREAM_UNREACHABLE":
        return Unavailable(f"{part}: {said.message}")
    return said


def _blind(why: str) -> Unavailable:
    return Unavailable(f"The region's Envoy does not answer ({why}), so this is not known", reason=SIDECAR_UNREACHABLE)


@asynccontextmanager
async def open_client(socket: Path) -> AsyncIterator[RegionClient]:
    """A client of parts that do not have to be there yet."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), trust_env=False) as session:
        client = RegionClient(session, socket)
        try:
            yield client
        finally:
            await client.close()
