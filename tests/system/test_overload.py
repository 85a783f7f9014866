"""What one party sends harms nobody else: watches and connections stay open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from orbital.v1 import (
    approval_pb2,
    audit_pb2,
    crypto_pb2,
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
    verify_pb2,
)
from orbital.v1.registry_pb2_grpc import RegistryServiceStub

from runtime.rpc import MOST_SENT
from tests.system.world import ROOT, SECONDS, World

CONTRACTS = (
    *(approval_pb2, audit_pb2, crypto_pb2, dispatch_pb2, edge_pb2, enrolment_pb2, flag_pb2, policy_pb2, receipt_pb2),
    *(registry_pb2, report_pb2, parked_pb2, trace_pb2, verify_pb2),
)
RPCS = yaml.safe_load((ROOT / "policies" / "data" / "rpcs.yaml").read_text())
IDENTITIES = {"operator": "operator", "officer": "officer", "auditor": "auditor", "region": "eu10", "newcomer": None}
LONG = {"plain": "x" * 70_000}
NEVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}


def methods() -> Iterator[MethodDescriptor]:
    for contract in CONTRACTS:
        for service in contract.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def strings(message: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to every string of a message, two levels down."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (*above, field.name)
        elif (
            field.type == FieldDescriptor.TYPE_MESSAGE
            and len(above) < 2
            and not field.message_type.GetOptions().map_entry
        ):
            yield from strings(field.message_type, (*above, field.name))


def filled(message: Message, way: tuple[str, ...], text: str) -> Message:
    """`message` with `text` at the end of the way."""
    for name in way[:-1]:
        below = getattr(message, name)
        message = below.add() if hasattr(below, "add") else below
        if hasattr(message, "SetInParent"):
            message.SetInParent()
    last = getattr(message, way[-1])
    if hasattr(last, "append"):
        last.append(text)
    else:
        setattr(message, way[-1], text)
    return message


CASES = [
    (f"/{method.containing_service.full_name}/{method.name}", method, way)
    for method in methods()
    if RPCS.get(f"/{method.containing_service.full_name}/{method.name}", {}).get("at") == "gateway"
    for way in strings(method.input_type)
]


@contextmanager
def watching(world: World, number: int = 8) -> Iterator[list[grpc.Call]]:
    with world.channel("auditor") as channel:
        stub = RegistryServiceStub(channel)
        calls = [stub.WatchRegions(registry_pb2.WatchRegionsRequest(), timeout=600) for _ in range(number)]
        for call in calls:
            next(call)
        yield calls
        for call in calls:
            call.cancel()


def errors_of_connections(world: World) -> dict[str, int]:
    """Connections of the gateway's sidecar that ended with calls on them, by cluster."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{world.state.run}/admin-envoy-gateway.sock")
        connection.sendall(b"GET /stats?filter=upstream_cx_(protocol_error|destroy_with_active_rq)$ HTTP/1.1\r\n")
        connection.sendall(b"host: admin\r\nconnection: close\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    lines = (line.rsplit(": ", 1) for line in said.splitlines() if line.startswith("cluster."))
    return {name: int(value) for name, value in lines}


def call(
    channel: grpc.Channel, path: str, request: Message, headers: tuple[tuple[str, str], ...]
) -> grpc.RpcError | None:
    """A call as any client makes it, without a look at the answer; the error, if there is one."""
    method = channel.unary_stream(path) if path.endswith("/Subscribe") else channel.unary_unary(path)
    try:
        answer = method(request.SerializeToString(), timeout=SECONDS, metadata=headers)
        if path.endswith("/Subscribe"):
            next(answer)
    except grpc.RpcError as error:
        return error
    return None


@pytest.mark.parametrize("kind", LONG)
def test_no_string_of_any_call_harms_anybody_else(world: World, kind: str) -> None:
    """A refusal that repeats what was sent closed the connection that everybody's calls were on."""
    before = errors_of_connections(world)
    with watching(world) as calls, ExitStack() as stack:
        channels = {
            role: stack.enter_context(world.channel(name, "" if name else world.state.gateway.jwt))
            for role, name in IDENTITIES.items()
        }
        for path, method, way in CASES:
            if path.endswith(("/WatchJob", "/WatchRegions", "/WatchPlacements")):
                continue
            request = GetMessageClass(method.input_type)()
            filled(request, way, LONG[kind])
            role = next(role for role in RPCS[path]["roles"] if role in channels)
            if role == "region" and "region" in request.DESCRIPTOR.fields_by_name and way != ("region",):
                request.region = "eu10"  # type: ignore[attr-defined]
            headers = (("x-orbital-region", "eu10"), ("x-orbital-lane", "0")) if path.endswith("/Subscribe") else ()
            error = call(channels[role], path, request, headers)
            if error is not None:
                assert error.code() not in NEVER, f"{path} {way}: {error}"
                assert len((error.details() or "").encode()) <= MOST_SENT, f"{path} {way}"
        assert sum(each.is_active() for each in calls) == len(calls)
    assert errors_of_connections(world) == before
