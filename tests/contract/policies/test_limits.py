"""What one caller sends harms nobody else: a real Envoy, with a gateway behind it that repeats what it was sent."""

from __future__ import annotations

import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from orbital.v1 import (
    dispatch_pb2,
    dispatch_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)

from tests.contract.policies.calls import TIMEOUT, outcome, refusal
from tests.contract.policies.conftest import Site, until

HANDSHAKE_SECONDS = 5


@contextmanager
def streams(site: Site, number: int) -> Iterator[list[grpc.Call]]:
    """Lane streams of a region that are open and stay so."""
    ended = threading.Event()

    def requests(lane: int) -> Iterator[dispatch_pb2.SubscribeRequest]:
        yield dispatch_pb2.SubscribeRequest(open={"region": "eu10", "lane": lane, "credit": 1})
        ended.wait(60)

    with site.channel("mtls", "eu10") as channel:
        stub = dispatch_pb2_grpc.DispatchServiceStub(channel)
        calls = []
        for index in range(number):
            metadata = (("x-orbital-region", "eu10"), ("x-orbital-lane", str(index % 3)))
            call = stub.Subscribe(requests(index % 3), metadata=metadata, timeout=60)
            next(call)
            calls.append(call)
        try:
            yield calls
        finally:
            ended.set()
            for call in calls:
                call.cancel()


def alive(calls: list[Any]) -> int:
    return sum(call.is_active() for call in calls)


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_trailers_of_any_size_end_their_own_call_alone(site: Site, size: int) -> None:
    """Even if a process behind forgot to bound what it says: the connection and what else is on it stay."""
    with streams(site, 9) as calls, site.channel("jwt", None) as nobody, site.channel("mtls", "eu10") as region:
        for echo in ("gateway-bulk", "gateway-immediate"):
            site.echoes[echo].refusing = "x" * size
        try:
            for _ in range(6):
                stub = enrolment_pb2_grpc.EnrolmentServiceStub(nobody)
                error = refusal(lambda stub=stub: stub.Redeem(enrolment_pb2.RedeemRequest(), timeout=TIMEOUT))
                assert error.code() != grpc.StatusCode.OK
                enrol = enrolment_pb2_grpc.EnrolmentServiceStub(region)
                refusal(lambda stub=enrol: stub.Certify(enrolment_pb2.CertifyRequest(region="eu10"), timeout=TIMEOUT))
        finally:
            for echo in ("gateway-bulk", "gateway-immediate"):
                site.echoes[echo].refusing = ""
        assert alive(calls) == len(calls)


def test_nobody_may_send_little_and_seldom(site: Site) -> None:
    with site.channel("jwt", None) as channel:
        stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
        large = enrolment_pb2.RedeemRequest(region="x" * 20_000)
        assert outcome(refusal(lambda: stub.Redeem(large, timeout=TIMEOUT))) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_TOO_LARGE",
        )
        before = len(site.echoes["gateway-bulk"].seen)
        begun = time.monotonic()
        calls = [stub.Redeem.future(enrolment_pb2.RedeemRequest(), timeout=TIMEOUT) for _ in range(200)]
        codes = [call.code() for call in calls]
        passed = len(site.echoes["gateway-bulk"].seen) - before
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) >= 200 - passed
        assert passed <= 40 + 10 * (time.monotonic() - begun + 1)
        # Whoever has an identity is not held up by it.
        with streams(site, 1) as others:
            assert alive(others) == 1


@pytest.mark.parametrize("port", ["mtls", "jwt", "eu10-crypto"])
def test_a_connection_without_a_handshake_is_let_go(site: Site, port: str) -> None:
    with ExitStack() as resources:
        held = [resources.enter_context(socket.create_connection(("127.0.0.1", site.ports[port]))) for _ in range(50)]
        begun = time.monotonic()
        for each in held:
            each.settimeout(3 * HANDSHAKE_SECONDS)
            assert each.recv(1) == b""
        assert time.monotonic() - begun < 2 * HANDSHAKE_SECONDS


def test_headers_that_do_not_end_are_not_waited_for(site: Site) -> None:
    context = ssl.create_default_context(cadata=site.authority.certificate.decode())
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", site.ports["jwt"]))
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        # A preface, settings, and a HEADERS frame of stream 1 without END_HEADERS.
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        connection.sendall(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82")
        connection.settimeout(15)
        received = b""
        begun = time.monotonic()
        # RST_STREAM or GOAWAY, or the end.
        while not any(frame in (3, 7) for frame in frames(received)):
            got = connection.recv(65536)
            if not got:
                break
            received += got
        assert time.monotonic() - begun < 12


def frames(received: bytes) -> list[int]:
    """The types of the HTTP/2 frames that have come whole."""
    kinds, at = [], 0
    while at + 9 <= len(received):
        kinds.append(received[at + 3])
        at += 9 + int.from_bytes(received[at : at + 3], "big")
    return kinds


def test_unfinished_bodies_by_nobody_hold_no_memory(site: Site) -> None:
    """150 bodies of 4 MiB that never end took 600 MiB."""
    process = Path(f"/proc/{site.envoys['envoy-gateway'].pid}/statm")

    def resident() -> int:
        return int(process.read_text().split()[1]) * 4096

    before = resident()
    chunk = b"\x00\x00\x40\x00\x00" + b"x" * 65_000

    def body() -> Iterator[bytes]:
        for _ in range(60):
            yield chunk
        time.sleep(4)

    with site.channel("jwt", None) as channel:
        method = channel.stream_unary("/orbital.v1.EnrolmentService/Redeem")
        calls = [method.future(body(), timeout=6) for _ in range(150)]
        time.sleep(3)
        grown = resident() - before
        for call in calls:
            call.cancel()
    assert grown < 100 * 1024 * 1024, f"grew by {grown >> 20} MiB"


def test_one_connection_has_a_bound_of_streams_and_more_wait(site: Site) -> None:
    with streams(site, 3) as others, site.channel("mtls", "eu10") as channel:
        stub = dispatch_pb2_grpc.DispatchServiceStub(channel)
        ended = threading.Event()

        def requests() -> Iterator[dispatch_pb2.SubscribeRequest]:
            yield dispatch_pb2.SubscribeRequest(open={"region": "eu10", "lane": 1, "credit": 1})
            ended.wait(20)

        metadata = (("x-orbital-region", "eu10"), ("x-orbital-lane", "1"))
        calls = [stub.Subscribe(requests(), metadata=metadata, timeout=20) for _ in range(300)]
        admin = site.run / "admin-envoy-gateway.sock"
        until(lambda: active(admin, "mtls") > 100, "streams are open")
        # And what the sidecars of the regions have open.
        assert active(admin, "mtls") <= 256 + 20
        ended.set()
        for call in calls:
            call.cancel()
        assert alive(others) == 3


def active(admin: Path, listener: str) -> int:
    """Streams that are open at a listener."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(admin))
        connection.sendall(
            b"GET /stats?filter=downstream_rq_active HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
        )
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return next(
        int(line.split(": ")[1])
        for line in said.splitlines()
        if line.startswith(f"http.{listener}.downstream_rq_active")
    )


LARGE = ("x-orbital-region", "x-orbital-correlation-id", "x-orbital-lane", "user-agent", "authorization", "x-whatever")


@pytest.mark.parametrize("header", LARGE)
def test_a_refusal_leaves_a_trace_with_a_name_whatever_was_sent(site: Site, header: str) -> None:
    """An event that is larger than the engine uploads at once is dropped by it."""
    noise = random.Random(header).randbytes(33_000).hex()[:45_000]
    with site.channel("mtls", "auditor") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        metadata = (("x-mark", f"mark-{header}"), (header, noise))
        asked = time.time()
        error = refusal(lambda: stub.Kill(registry_pb2.KillRequest(tenant="acme"), timeout=TIMEOUT, metadata=metadata))
        refused = time.time()
    assert outcome(error) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")

    def kept() -> bool:
        whole, _, _ = (site.place / "posted").read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        events = [event for line in lines if line["path"] == "/logs/opa-gateway-immediate" for event in line["body"]]
        return any(
            event["result"].get("principal") == "spiffe://orbital/person/auditor"
            and event["result"].get("reason") == "ROLE_MISSING"
            and asked - 0.5 < datetime.fromisoformat(event["timestamp"]).timestamp() < refused + 0.5
            for event in events
            if isinstance(event.get("result"), dict)
        )

    until(kept, "the refusal is kept")
