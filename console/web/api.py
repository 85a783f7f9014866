"""The way to the gateway: the public API, called with the token of whoever asks; the console itself has no rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
from orbital.v1 import registry_pb2 as registry
from orbital.v1.approval_pb2_grpc import ApprovalServiceStub
from orbital.v1.audit_pb2_grpc import AuditServiceStub
from orbital.v1.edge_pb2 import Edge
from orbital.v1.flag_pb2 import Flag
from orbital.v1.parked_pb2_grpc import TaskServiceStub
from orbital.v1.policy_pb2_grpc import PolicyServiceStub
from orbital.v1.receipt_pb2_grpc import ProofServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.trace_pb2_grpc import TraceServiceStub

from console.web.person import Person
from runtime.channels import open_aio_channel
from runtime.errors import Unavailable
from runtime.rpc import from_rpc_error

MAX_MESSAGE = 64 * 1024 * 1024
CALL_SECONDS = 20.0
# Names one call in the decision log of whichever policy engine answers it.
CORRELATION = "x-orbital-correlation-id"
OPTIONS = {
    "grpc.max_receive_message_length": MAX_MESSAGE,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1_000,
}


class Gateway:
    """The services of the gateway; every call may raise OrbitalError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The stubs are typed for a synchronous channel.
        untyped: Any = channel
        self.registry: Any = RegistryServiceStub(untyped)
        self.approval: Any = ApprovalServiceStub(untyped)
        self.trace: Any = TraceServiceStub(untyped)
        self.tasks: Any = TaskServiceStub(untyped)
        self.proof: Any = ProofServiceStub(untyped)
        self.policy: Any = PolicyServiceStub(untyped)
        self.audit: Any = AuditServiceStub(untyped)

    async def call(self, person: Person, method: Any, request: Any) -> Any:
        """The answer to a unary call."""
        try:
            return await method(request, timeout=CALL_SECONDS, metadata=_metadata(person))
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error

    async def stream(self, person: Person, method: Any, request: Any) -> AsyncIterator[Any]:
        """The answers of a stream, until it ends, breaks or the person's token does."""
        answers = method(request, timeout=person.seconds_left, metadata=_metadata(person))
        try:
            async for answer in answers:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise _translated(error) from error
        finally:
            answers.cancel()

    async def pages(self, person: Person, method: Any, request: Any) -> AsyncIterator[Any]:
        """Every page of a listing."""
        while True:
            answer = await self.call(person, method, request)
            yield answer
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def first(self, person: Person, method: Any, request: Any, field: str, most: int) -> tuple[list[Any], bool]:
        """The first rows of a listing, `most` of them, and whether there are more than these."""
        found: list[Any] = []
        async for page in self.pages(person, method, request):
            found += getattr(page, field)
            if len(found) > most or (len(found) == most and page.next_page_token):
                return found[:most], True
        return found, False

    async def every(self, person: Person, method: Any, request: Any, field: str) -> list[Any]:
        """Every row of a listing, out of this field of its pages."""
        return [one async for page in self.pages(person, method, request) for one in getattr(page, field)]

    async def regions(self, person: Person) -> list[registry.Region]:
        """Every region."""
        return await self.every(person, self.registry.ListRegions, registry.ListRegionsRequest(), "regions")

    async def flags(self, person: Person, region: str = "") -> list[Flag]:
        """Every flag, of one region or of all."""
        return await self.every(person, self.registry.ListFlags, registry.ListFlagsRequest(region=region), "flags")

    async def edges(self, person: Person, region: str = "") -> list[Edge]:
        """Every edge, of one region or of all."""
        return await self.every(person, self.registry.ListEdges, registry.ListEdgesRequest(region=region), "edges")


@asynccontextmanager
async def open_gateway(address: str) -> AsyncIterator[Gateway]:
    """The gateway inside the block; it need not be there yet."""
    async with open_aio_channel(address, options=OPTIONS) as channel:
        yield Gateway(channel)


def _metadata(person: Person) -> tuple[tuple[str, str], ...]:
    return ("authorization", f"Bearer {person.token}"), (CORRELATION, uuid4().hex)


def _translated(error: grpc.aio.AioRpcError) -> Exception:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable("The gateway did not answer in time.")
    return from_rpc_error(error)
