"""Every entry point of a running stack, as each identity that may use it; each call sends one hostile thing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import grpc
import orjson
import yaml
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from orbital.v1 import (  # noqa: F401 - what is imported is what the pool knows
    audit_pb2,
    crypto_pb2,
    decommission_pb2,
    dispatch_pb2,
    edge_pb2,
    enrolment_pb2,
    flag_pb2,
    inspect_pb2,
    policy_pb2,
    receipt_pb2,
    registry_pb2,
    report_pb2,
    restore_pb2,
    trace_pb2,
    verify_pb2,
)
from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import ReportBatch, SubscribeRequest
from orbital.v1.edge_pb2 import ObserveRequest
from orbital.v1.flag_pb2 import SignalRequest
from orbital.v1.report_pb2 import ReportRequest
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import Reports, TaskBatch

from gateway.adapters.rabbitmq.lanes import EXCHANGE, routing_key
from runtime.signatures import FLAGS, REPORTS, TASKS, Signer
from tests.fuzz.mutate import REGION, TENANT, Mutator
from tests.system.world import ROOT, World

SECONDS = 20.0
RPCS = ROOT / "policies" / "data" / "rpcs.yaml"
# Who has a role. A newcomer shows nothing.
IDENTITY = {
    "operator": "operator",
    "officer": "officer",
    "auditor": "auditor",
    "crypto": "operator",
    "workload": "operator",
    "region": REGION,
    "newcomer": None,
    "anyone": "operator",
}
Send = Callable[[Mutator], str]


@dataclass(frozen=True, slots=True)
class Door:
    """A name, and what sends one hostile thing there; it answers the name of the status that came back."""

    name: str
    send: Send


def methods() -> Iterator[tuple[str, MethodDescriptor, dict[str, Any]]]:
    """(path, descriptor, row) of every RPC of the contract; a row that no descriptor has fails the test."""
    pool = descriptor_pool.Default()
    for path, row in yaml.safe_load(RPCS.read_text()).items():
        service, _, method = path.strip("/").partition("/")
        if service.startswith("orbital."):
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
            self._open[key] = grpc.secure_channel(address, self._world.credentials(identity), options=options)
        return self._open[key]

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
    at = {"gateway": world.state.gateway.mtls, "region": world.state.regions[REGION].crypto}
    jwt = world.state.gateway.jwt
    for path, method, row in methods():
        for identity in sorted({IDENTITY[role] for role in row["roles"]}, key=str):
            address = jwt if identity is None else at[row["at"]]
            made = partial(_call, callers.channel(identity, address), path, method)
            yield Door(f"{path} by {identity or 'nobody'}", made)


def _headers(mutator: Mutator) -> list[tuple[str, str]]:
    lane = str(mutator.random.choice((0, 1, 2, 7)))
    headers = [("x-orbital-region", REGION), ("x-orbital-lane", lane)]
    if mutator.random.random() < 0.2:
        headers.append(("x-orbital-correlation-id", "x" * mutator.random.choice((1, 32, 4000, 45_000))))
    return headers


def _call(channel: grpc.Channel, path: str, method: MethodDescriptor, mutator: Mutator) -> str:
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


def http_doors(world: World) -> Iterator[Door]:
    """HTTP: what policy engines send, and the console's pages and forms as a person who is logged in."""
    run = Path(world.state.run)

    def engine(where: str, mutator: Mutator) -> str:
        body = orjson.dumps(_event(mutator)) if mutator.random.random() < 0.8 else mutator.bent(b'[{"result": {}}]')
        name = mutator.random.choice(("opa-gateway-bulk", "opa-eu10-bulk", "opa-eu10-ANYTHING", "x"))
        return _http(run / "gateway-http.sock", "POST", f"/{where}/{name}", body)

    def page(mutator: Mutator) -> str:
        path = mutator.random.choice(PAGES).replace("*", _quoted(mutator.text()[:200]))
        return _http(run / "console.sock", "GET", path, b"", PERSON)

    def form(mutator: Mutator) -> str:
        path = mutator.random.choice(FORMS).replace("*", _quoted(mutator.text()[:60]))
        fields = "&".join(f"{name}={_quoted(mutator.text()[:5000])}" for name in FIELDS)
        return _http(run / "console.sock", "POST", path, fields.encode(), {**PERSON, **FORM})

    yield Door("decision logs", partial(engine, "logs"))
    yield Door("engine status", partial(engine, "status"))
    yield Door("pages of the console", page)
    yield Door("forms of the console", form)


PAGES = (
    *("/?q=*", "/fleet?area=*", "/regions/*", "/tenants?after=*", "/tenants/*", "/changes?action=*", "/jobs/*"),
    *("/changes/new?tenant=*", "/kill/tenants/*", "/kill/waves/*", "/traces/*", "/policy?q=*", "/policy/decisions/*"),
    *("/audit?after=*", "/audit?kind=*", "/search?q=*", "/restorations/*", "/restorations/tenants/*", "/static/*/x"),
)
FORMS = ("/changes/new", "/kill/tenants/*", f"/kill/tenants/{TENANT}", "/restorations/tenants/*", "/restorations/*")
FIELDS = ("form", "text", "reason", "tenant", "confirm", "request_id", "action")
PERSON = {"x-orbital-principal": "spiffe://orbital/person/operator", "Authorization": "Bearer x.e30.x"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _event(mutator: Mutator) -> Any:
    """A decision log, or a status, of which something is not as it should be."""
    event: dict[str, Any] = {
        "decision_id": f"{mutator.random.getrandbits(64):x}",
        "path": "orbital/authz/ingress/decision",
        "timestamp": "2026-01-01T00:00:00Z",
        "input": {"attributes": {"request": {"http": {"path": "/x", "headers": {}}}}},
        "result": {"allowed": False, "headers": {}, "body": "no"},
        "labels": {"id": "x"},
        "bundles": {},
        "metrics": {},
    }
    for _ in range(mutator.random.randrange(1, 4)):
        event[mutator.random.choice(sorted(event))] = mutator.value()
    return event if mutator.random.random() < 0.3 else [event] * mutator.random.choice((1, 1, 50))


def _http(where: Path, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> str:
    """The status of one request on a Unix socket; a server error is INTERNAL."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(SECONDS)
        link.connect(str(where))
        link.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = link.recv(4096).split(b" ", 2)
    code = int(answer[1]) if len(answer) > 1 and answer[1].isdigit() else 0
    # 503 says that something behind it is away, or takes no more now.
    return f"INTERNAL: HTTP {code} for {path[:80]}" if code >= 500 and code != 503 else "OK"


def doors(world: World, callers: Callers) -> Sequence[Door]:
    """All of them, in an order that stays."""
    return [
        *rpc_doors(world, callers),
        *signed_doors(world, callers),
        *broker_doors(world),
        *http_doors(world),
    ]
