"""An identity taken away: what is open ends at once, every way in is shut, and a token alone gives a new identity."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiormq
import grpc
import hvac
import pytest
import requests
from orbital.v1 import registry_pb2 as registry
from orbital.v1.dispatch_pb2 import Open, SubscribeRequest
from orbital.v1.dispatch_pb2_grpc import DispatchServiceStub
from orbital.v1.enrolment_pb2 import EnrolRequest, RedeemRequest
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from orbital.v1.report_pb2_grpc import ReportServiceStub
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.domain.revocation import REVOKED
from runtime.rpc import OPTIONS, from_rpc_error
from stack import api
from tests.system.flags import Record
from tests.system.test_broker_policy import broker_context, enters, url
from tests.system.test_identities import UNAVAILABLE, Tokens, report
from tests.system.world import SECONDS, World, eventually, refused, tenancy

MOST_SECONDS = 2.0
GATEWAYS = ("gateway-immediate", "gateway-bulk")


def connected(world: World) -> dict[str, bool]:
    with world.registry() as stub:
        answer = stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS)
    return {each.resource.name.partition("/")[2]: each.connected for each in answer.regions}


def revoke(world: World, region: str) -> None:
    done = world.orbital("region", "revoke", region, "--reason", "its key was stolen", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["already_revoked"] is False


def restore(world: World, region: str) -> str:
    """Enrol it again as a person would, with its sidecar started anew; returns the token that was used."""
    laid = world.place / f"region-{region}" / "enrolment-token"
    done = world.orbital("region", "enrol", region, "--to", str(laid.with_name("token")))
    assert done.returncode == 0, done.stderr
    token = laid.with_name("token").read_text()
    laid.with_name("token").rename(laid)
    eventually(lambda: True if not laid.exists() else None, 20, "the region tries its token")
    api.kill(world.place, f"envoy-{region}")
    return token


@pytest.fixture
def whole(world: World) -> Iterator[World]:
    """A stack whose regions all have an identity that counts, before and after."""
    world.declare(tenancy("standing", services=0))
    world.converged(tenant="standing")
    yield world
    with world.registry() as stub:
        regions = stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS).regions
    for each in regions:
        if each.HasField("revocation"):
            restore(world, each.resource.name.partition("/")[2])
    eventually(lambda: True if all(connected(world).values()) else None, 60, "every region is connected")


class Held:
    """What a region has open: a lane stream, an AMQP and an MQTT connection; and when each of them ended."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}
        self.all = asyncio.Event()

    def end(self, name: str) -> None:
        self.ended.setdefault(name, time.monotonic())
        if len(self.ended) == 3:
            self.all.set()

    async def stream(self, world: World, region: str, opened: asyncio.Event) -> grpc.RpcError:
        metadata = (("x-orbital-region", region), ("x-orbital-lane", "0"))
        opening = Open(region=region, lane=0, credit=1, apart=True)
        async with grpc.aio.secure_channel(world.state.gateway.mtls, world.credentials(region)) as channel:
            stub: Any = DispatchServiceStub(channel)
            call = stub.Subscribe(metadata=metadata)
            await call.write(SubscribeRequest(open=opening))
            try:
                while await call.read() is not grpc.aio.EOF:
                    opened.set()
            except grpc.RpcError as error:
                return error
            finally:
                self.end("stream")
        raise AssertionError("the stream ended without a word")

    async def amqp(self, world: World, region: str) -> None:
        connection = await aiormq.connect(url(world), context=broker_context(world, region))
        connection.closing.add_done_callback(lambda _: self.end("amqp"))

    def mqtt(self, world: World, region: str, loop: asyncio.AbstractEventLoop) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"orbital.lane.2.{region}", reconnect_on_failure=False)
        client.tls_set_context(broker_context(world, region))
        client.on_disconnect = lambda *_: loop.call_soon_threadsafe(self.end, "mqtt")
        client.connect("127.0.0.1", world.state.ports["mqtt"])
        client.loop_start()
        return client


def reason(error: grpc.RpcError) -> str:
    return from_rpc_error(error).reason


def told(call: Callable[[], object]) -> str:
    """The reason by which a call is refused, once it is answered at all: a part may just have been killed."""
    return eventually(
        lambda: None if (error := refused(call)).code() is UNAVAILABLE else reason(error), 20, "an answer"
    )


def first_on_stream(channel: grpc.Channel, region: str, lane: int) -> object:
    metadata = (("x-orbital-region", region), ("x-orbital-lane", str(lane)))
    opening = iter([SubscribeRequest(open=Open(region=region, lane=lane, credit=1, apart=True))])
    stub: Any = DispatchServiceStub(channel)
    return next(stub.Subscribe(opening, metadata=metadata, timeout=SECONDS))


def every_way_in_is_shut(world: World, region: str) -> None:
    with world.channel(region) as channel:
        enrol = EnrolRequest(region=region, version="1", process="test")
        assert told(lambda: EnrolmentServiceStub(channel).Enrol(enrol, timeout=SECONDS)) == REVOKED
        reports = ReportServiceStub(channel)
        assert told(lambda: reports.Report(report(world, region), timeout=SECONDS)) == REVOKED
        assert told(lambda: first_on_stream(channel, region, 0)) == REVOKED
        assert told(lambda: first_on_stream(channel, region, 1)) == REVOKED
    base = f"http://127.0.0.1:{world.state.ports[f'region-{region}-bundles']}"
    engine = f"opa-{region}-bulk"
    token = (world.place / "secrets" / f"{engine}-token").read_text()
    for method, path in (
        ("GET", "/bundles/orbital.tar.gz"),
        ("POST", f"/logs/{engine}"),
        ("POST", f"/status/{engine}"),
    ):
        answer = eventually(lambda method=method, path=path: asked(method, base + path, token), 20, path)  # type: ignore[misc]
        assert (answer.status_code, answer.headers["x-orbital-reason"]) == (403, REVOKED), path
    # The broker remembers for a second whom it let in; whoever comes in by that is put out again.
    eventually(lambda: None if asyncio.run(enters(world, region)) else True, MOST_SECONDS, "the broker is shut")


def asked(method: str, url: str, token: str) -> requests.Response | None:
    answer = requests.request(method, url, json=[], headers={"x-orbital-engine-token": token}, timeout=SECONDS)
    return None if answer.status_code == 503 else answer


def refused_by_token(world: World, token: str) -> str:
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.secure_channel(world.state.gateway.jwt, world.credentials(None), options=OPTIONS) as channel:
        enrol = EnrolRequest(region="us20", version="1", process="test")
        return reason(refused(lambda: EnrolmentServiceStub(channel).Enrol(enrol, timeout=SECONDS, metadata=metadata)))


def redeem(world: World, region: str, token: str) -> grpc.RpcError:
    with grpc.secure_channel(world.state.gateway.jwt, world.credentials(None), options=OPTIONS) as channel:
        asked = RedeemRequest(region=region, token=token, signing_request=b"x")
        return refused(lambda: EnrolmentServiceStub(channel).Redeem(asked, timeout=SECONDS))


async def cut(world: World, measured: Record, region: str) -> None:
    """Revoke a region that has everything open, and see all of it end in time."""
    held, opened = Held(), asyncio.Event()
    async with asyncio.timeout(60):
        stream = asyncio.create_task(held.stream(world, region, opened))
        await opened.wait()
        await held.amqp(world, region)
        client = held.mqtt(world, region, asyncio.get_running_loop())
        await asyncio.to_thread(revoke, world, region)
        confirmed = time.monotonic()
        await held.all.wait()
        client.loop_stop()
        assert reason(await stream) == REVOKED
    for name, at in held.ended.items():
        measured(f"{name} cut", max(0.0, at - confirmed))
        assert at - confirmed <= MOST_SECONDS, held.ended
    # Its own processes try to come back, and the broker remembers for a second whom it let in.
    eventually(lambda: None if connected(world)[region] else True, MOST_SECONDS, "no stream is open")


def test_a_revoked_region_is_cut_off_and_comes_back_by_a_token_alone(whole: World, measured: Record) -> None:
    old = whole.credentials("eu10")
    asyncio.run(cut(whole, measured, "eu10"))
    every_way_in_is_shut(whole, "eu10")
    shown = json.loads(whole.orbital("get", "regions", "eu10", "-o", "json").stdout)[0]
    assert (shown["status_reason"], shown["revoked_because"]) == (REVOKED, "its key was stolen")
    assert connected(whole)["us20"]
    denials = whole.orbital("get", "denials", "-o", "json").stdout.decode()
    assert REVOKED in denials

    killed = {part: api.kill(whole.place, part) for part in GATEWAYS}
    for part, pid in killed.items():
        api.wait_ready(whole.place, part, after=pid)
    every_way_in_is_shut(whole, "eu10")

    whole.declare(tenancy("standing", services=0, step="while-revoked"))
    began = time.monotonic()
    token = restore(whole, "eu10")
    eventually(lambda: True if connected(whole)["eu10"] else None, 60, "eu10 is connected")
    measured("back", time.monotonic() - began)
    whole.converged(tenant="standing")
    assert asyncio.run(enters(whole, "eu10"))

    # What was issued before the revocation stays refused, though it has not expired.
    with grpc.secure_channel(whole.state.gateway.mtls, old, options=OPTIONS) as channel:
        enrol = EnrolRequest(region="eu10", version="1", process="test")
        assert told(lambda: EnrolmentServiceStub(channel).Enrol(enrol, timeout=SECONDS)) == REVOKED

    # The token again, and one that nobody gave out.
    assert reason(redeem(whole, "eu10", token)) == "TOKEN_USED"
    assert reason(redeem(whole, "eu10", "s.guessed")) == "TOKEN_UNKNOWN"
    events = whole.orbital("get", "securityevents", "-o", "json").stdout.decode()
    assert "TOKEN_USED" in events
    assert "TOKEN_UNKNOWN" in events
    eventually(lambda: kinds(whole) >= {"revocation", "reinstated", "invitation", "enrolment"} or None, 20, "the trail")


def kinds(world: World) -> set[str]:
    to = world.place / "standing-audit.jsonl"
    assert world.orbital("audit", "export", str(to)).returncode == 0
    return {kind for kind in ("revocation", "reinstated", "invitation", "enrolment") if f'"{kind}"' in to.read_text()}


def no_token(tokens: Tokens) -> bool:
    try:
        tokens.token()
    except hvac.exceptions.Forbidden:
        return True
    return False


def test_a_region_with_tokens_is_refused_by_all_that_it_has(whole: World) -> None:
    tokens = Tokens(whole)
    before = tokens.token()
    revoke(whole, "us20")
    eventually(lambda: refused_by_token(whole, before) == REVOKED or None, MOST_SECONDS, "its token is refused")
    eventually(lambda: no_token(tokens) or None, 10, "it gets no other")
    restore(whole, "us20")
    eventually(lambda: True if connected(whole)["us20"] else None, 60, "us20 is connected")
    assert refused_by_token(whole, before) == REVOKED
    assert Tokens(whole).token()


def test_a_token_of_another_region_gives_nothing(world: World, tmp_path: Path) -> None:
    laid = tmp_path / "token"
    assert world.orbital("region", "enrol", "eu10", "--to", str(laid)).returncode == 0
    assert laid.stat().st_mode & 0o077 == 0
    assert reason(redeem(world, "us20", laid.read_text())) == "TOKEN_OF_ANOTHER_REGION"
    done = world.orbital("region", "enrol", "eu99")
    assert b"eu99" in done.stderr
    assert done.returncode != 0
    for verb in (["enrol", "eu10"], ["revoke", "eu10", "--reason", "x"]):
        done = world.orbital("region", *verb, "--as", "auditor")
        assert done.returncode != 0
