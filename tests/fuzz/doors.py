"""Every entry point of a running stack that speaks protobuf, as each identity that may use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import aio_pika
import grpc
import yaml
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2  # noqa: F401 - what is imported is what the pool knows
from grpc_reflection.v1alpha import reflection_pb2  # noqa: F401
from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import ReportBatch, SubscribeRequest
from orbital.v1.edge_pb2 import ObserveRequest
from orbital.v1.flag_pb2 import SignalRequest
from orbital.v1.report_pb2 import ReportRequest
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import Reports, TaskBatch

from gateway.adapters.rabbitmq.lanes import EXCHANGE, routing_key
from runtime.signatures import FLAGS, REPORTS, TASKS, Signer
from stack import api
from tests.fuzz.door import SECONDS, Door
from tests.fuzz.mutate import ENDING, REGION, TENANT, Mutator
from tests.fuzz.web import web_doors
from tests.system.world import ROOT, World

RPCS = ROOT / "policies" / "data" / "rpcs.yaml"
WORKLOAD = f"{TENANT}/s0/v0"
# Who has a role. A newcomer shows nothing.
IDENTITY = {
    "operator": "operator",
    "officer": "officer",
    "auditor": "auditor",
    "crypto": "operator",
    "workload": WORKLOAD,
    "region": REGION,
    "newcomer": None,
    "anyone": "operator",
}


# Calls that end a tenant or a region.
ENDS = {"Kill", "Retire", "Revoke", "AskApproval"}


def methods() -> Iterator[tuple[str, MethodDescriptor, dict[str, Any]]]:
    """(path, descriptor, row) of every RPC of the contract; a row that no descriptor has fails the test."""
    # The pool knows what was imported.
    for proto in sorted((ROOT / "proto" / "orbital" / "v1").glob("*.proto")):
        import_module(f"orbital.v1.{proto.stem}_pb2")
    pool = descriptor_pool.Default()
    for path, row in yaml.safe_load(RPCS.read_text()).items():
        service, _, method = path.strip("/").partition("/")
        if service != "grpc.reflection.v1.ServerReflection":
            yield path, pool.FindServiceByName(service).methods_by_name[method], row


class Callers:
    """Channels that stay open, one an identity and address."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[tuple[str | None, str], grpc.Channel] = {}

    def channel(self, identity: str | None, address: str) -> grpc.Channel:
        """The channel; one is made when there is none."""
        key = (identity, address)
        if key not in self._open:
            options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
            self._open[key] = grpc.secure_channel(address, self._credentials(identity), options=options)
        return self._open[key]

    def _credentials(self, identity: str | None) -> grpc.ChannelCredentials:
        if identity != WORKLOAD:
            return self._world.credentials(identity)
        key, chain = api.workload(self._world.place, WORKLOAD)
        return grpc.ssl_channel_credentials((self._world.place / "identity" / "ca.pem").read_bytes(), key, chain)

    def close(self) -> None:
        """Close all of them."""
        for channel in self._open.values():
            channel.close()


def status_of(call: Callable[[], Any]) -> str:
    """OK, or the name of the status with what was said."""
    try:
        call()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


def rpc_doors(world: World, callers: Callers) -> Iterator[Door]:
    """Every RPC, as each identity that may call it."""
    state = world.state
    at = {"gateway": [state.gateway.mtls], "region": [state.regions[REGION].crypto]}
    at["any"] = [*at["gateway"], *at["region"]]
    for path, method, row in methods():
        for role in row["roles"]:
            addresses = {"newcomer": [state.gateway.jwt], "workload": [state.regions[REGION].edge]}
            for address in addresses.get(role, at[row["at"]]):
                made = partial(_call, callers.channel(IDENTITY[role], address), path, method)
                yield Door(f"{path} by {role} at {address}", made)


def _headers(mutator: Mutator) -> list[tuple[str, str]]:
    lane = str(mutator.random.choice((0, 1, 2, 7)))
    headers = [("x-orbital-region", REGION), ("x-orbital-lane", lane)]
    if mutator.random.random() < 0.2:
        headers.append(("x-orbital-correlation-id", "x" * mutator.random.choice((1, 32, 4000, 45_000))))
    return headers


def _call(channel: grpc.Channel, path: str, method: MethodDescriptor, mutator: Mutator) -> str:
    if method.name in ENDS:
        mutator.named = ENDING
    packed = mutator.packed(method.input_type)
    metadata = _headers(mutator)
    if method.client_streaming:
        several = [packed, *(mutator.packed(method.input_type) for _ in range(mutator.random.randrange(4)))]
        stream = channel.stream_stream(path)
        return status_of(lambda: _first(stream(iter(several), timeout=2.0, metadata=metadata)))
    if method.server_streaming:
        return status_of(lambda: _first(channel.unary_stream(path)(packed, timeout=2.0, metadata=metadata)))
    return status_of(lambda: channel.unary_unary(path)(packed, timeout=SECONDS, metadata=metadata))


def _first(answers: Any) -> None:
    """Read a few answers, then go away."""
    try:
        for _, _answer in zip(range(3), answers, strict=False):
            pass
    finally:
        answers.cancel()


def signer(world: World, owner: str) -> Signer:
    """Signs as `owner`, with the key that it really has."""
    return Signer(world.place / "secrets" / "signing" / f"{owner}.json", time.time)


def signed_doors(world: World, callers: Callers) -> Iterator[Door]:
    """What a region signs, with its own key: its reports, by call and by stream, and its checker's flags."""
    channel = callers.channel(REGION, world.state.gateway.mtls)
    keys = signer(world, REGION)

    def content(mutator: Mutator, kind: type[Message]) -> Message:
        made = mutator.spoilt(mutator.honest(kind.DESCRIPTOR))
        # Mostly its own: what names another region is refused before anything in it is read.
        if mutator.random.random() < 0.9:
            made.region = REGION
        return made

    def unary(path: str, request: Message) -> str:
        packed = request.SerializeToString()
        return status_of(lambda: channel.unary_unary(path)(packed, timeout=SECONDS, metadata=_headers(Mutator("h"))))

    def report(mutator: Mutator) -> str:
        packed = content(mutator, Reports).SerializeToString()
        return unary(
            "/orbital.v1.ReportService/Report", ReportRequest(region=REGION, signed=keys.sign(REPORTS, packed))
        )

    def signal(mutator: Mutator) -> str:
        packed = content(mutator, SignalRequest).SerializeToString()
        request = SignalRequest(region=REGION, signed=keys.sign(FLAGS, packed))
        return unary("/orbital.v1.CheckerService/Signal", request)

    def observe(mutator: Mutator) -> str:
        return unary("/orbital.v1.EdgeService/Observe", content(mutator, ObserveRequest))

    def stream(mutator: Mutator) -> str:
        lane = mutator.random.choice((1, 2))
        opening = SubscribeRequest()
        opening.open.region, opening.open.lane, opening.open.credit, opening.open.apart = REGION, lane, 1, True
        packed = content(mutator, Reports).SerializeToString()
        batch = ReportBatch(batch_id=mutator.random.randrange(2**32), signed=keys.sign(REPORTS, packed))
        several = [opening.SerializeToString(), SubscribeRequest(reports=batch).SerializeToString()]
        call = channel.stream_stream("/orbital.v1.DispatchService/Subscribe")
        metadata = [("x-orbital-region", REGION), ("x-orbital-lane", str(lane))]
        return status_of(lambda: _first(call(iter(several), timeout=2.0, metadata=metadata)))

    yield Door("signed reports by call", report)
    yield Door("signed reports by stream", stream)
    yield Door("signed flags", signal)
    yield Door("observed edges", observe)


def broker_doors(world: World) -> Iterator[Door]:
    """Messages for a region's lanes: signed by the control plane, and such as nobody signed."""
    keys = signer(world, "gateway")

    def signed(mutator: Mutator) -> str:
        batch = mutator.spoilt(mutator.honest(TaskBatch.DESCRIPTOR))
        lane = mutator.random.choice((1, 2))
        if mutator.random.random() < 0.9:
            batch.region, batch.lane = REGION, lane
        asyncio.run(_publish(world, lane, keys.sign(TASKS, batch.SerializeToString()).SerializeToString()))
        return "OK"

    def unsigned(mutator: Mutator) -> str:
        kind = mutator.random.choice((Signed, TaskBatch, SignedAuditHead))
        asyncio.run(_publish(world, mutator.random.choice((0, 1, 2)), mutator.packed(kind.DESCRIPTOR)))
        return "OK"

    yield Door("tasks that the control plane signed", signed)
    yield Door("messages that nobody signed", unsigned)


async def _publish(world: World, lane: int, body: bytes) -> None:
    password = (world.place / "secrets" / "rabbitmq-gateway").read_text().strip()
    port = world.state.ports["amqp"]
    async with await aio_pika.connect(host="127.0.0.1", port=port, login="gateway", password=password) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(body), routing_key(REGION, lane), mandatory=True)


def doors(world: World, callers: Callers) -> Sequence[Door]:
    """All of them, in an order that stays."""
    return [
        *rpc_doors(world, callers),
        *signed_doors(world, callers),
        *broker_doors(world),
        *web_doors(world),
    ]
