"""Parties that take what they can: each runs as a process of its own, behind everybody else for the processor.

`python -m tests.system.floods KIND PLACE NUMBER` says "ready" once it is at it, goes on until its input ends, and tells
then what it did and how that was answered, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from orbital.v1 import enrolment_pb2, registry_pb2, report_pb2, signed_pb2
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.report_pb2_grpc import ReportServiceStub

from runtime.rpc import OPTIONS
from stack import api
from stack.spawn import raise_file_limit
from tests.system.world import ROOT, World

SECONDS = 30
READY = "ready\n"
# Streams of one connection: a client's library waits with more than the server allows, so it opens another one.
STREAMS = 250
ENDED = threading.Event()
# What was done, and the ends of it.
TALLY: Counter[str] = Counter()


def repeating(threads: int, once: Callable[[], None]) -> None:
    """Again and again, in so many threads, whatever comes of it."""

    def run() -> None:
        while not ENDED.is_set():
            try:
                once()
            except (grpc.RpcError, OSError, ValueError) as error:
                ended(error)
                ENDED.wait(0.05)

    for _ in range(threads):
        threading.Thread(target=run, daemon=True).start()


def ended(error: BaseException | None) -> None:
    """Count how something ended."""
    code = error.code().name if isinstance(error, grpc.RpcError) and hasattr(error, "code") else type(error).__name__
    TALLY["accepted" if error is None else code] += 1


def tried(call: Callable[[], object]) -> None:
    """One call, and how it ended."""
    TALLY["tried"] += 1
    try:
        call()
    except grpc.RpcError as error:
        ended(error)
    else:
        ended(None)


def own_connection(address: str, credentials: grpc.ChannelCredentials) -> grpc.Channel:
    return grpc.secure_channel(address, credentials, options=[*OPTIONS, ("grpc.use_local_subchannel_pool", 1)])


def bodies(world: World, number: int) -> None:
    """Bodies of Redeem by nobody that never end, made anew as they are let go."""

    def parts() -> Iterator[bytes]:
        yield b"\x00" * 60_000
        ENDED.wait(SECONDS)

    def once() -> None:
        with own_connection(world.state.gateway.jwt, world.credentials(None)) as channel:
            method = channel.stream_unary("/orbital.v1.EnrolmentService/Redeem")
            calls = [method.future(parts(), timeout=SECONDS) for _ in range(number // 3)]
            TALLY["tried"] += len(calls)
            for call in calls:
                try:
                    call.result()
                except grpc.RpcError as error:
                    ended(error)
        ENDED.wait(0.2)

    repeating(3, once)


def connections(world: World, number: int) -> None:
    """Connections by nobody without a handshake, made anew as they are let go."""
    host, _, port = world.state.gateway.jwt.partition(":")

    def once() -> None:
        with ExitStack() as stack:
            for _ in range(number // 4):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=2))
                TALLY["tried"] += 1
            ENDED.wait(4)

    repeating(4, once)


def consoles(world: World, number: int) -> None:
    """Browsers that say a byte a second, and read none of what comes."""
    where = urlsplit(world.state.console.address)
    trust = ssl.create_default_context(cafile=str(world.place / "identity" / "ca.pem"))
    host, port = where.hostname or "127.0.0.1", where.port or 443

    def once() -> None:
        with (
            socket.create_connection((host, port), timeout=5) as plain,
            trust.wrap_socket(plain, server_hostname=host) as secure,
        ):
            TALLY["tried"] += 1
            for _ in range(3):
                secure.sendall(f"GET /static/orbital.css HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
            for byte in b"GET /fleet HTTP/1.1\r\nx-slow: " + b"x" * 60:
                secure.sendall(bytes([byte]))
                if ENDED.wait(1):
                    return

    repeating(number, once)


def watches(world: World, number: int) -> None:
    """More watches of one person, and more streams of one workload, than either may have."""
    key, certificate = api.workload(world.place, "acme/core/pay")
    authorities = (world.place / "identity" / "ca.pem").read_bytes()
    workload = grpc.ssl_channel_credentials(authorities, key, certificate)
    crypto = world.state.regions["eu10"].crypto

    def once() -> None:
        with (
            own_connection(crypto, workload) as channel,
            own_connection(world.state.gateway.mtls, world.credentials("auditor")) as other,
        ):
            health, registry = health_pb2_grpc.HealthStub(channel), RegistryServiceStub(other)
            request = registry_pb2.WatchRegionsRequest()
            calls = [health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS) for _ in range(STREAMS)]
            calls += [registry.WatchRegions(request, timeout=SECONDS) for _ in range(STREAMS)]
            TALLY["tried"] += len(calls)
            ENDED.wait(5)
            for call in calls:
                TALLY["open" if call.is_active() else call.code().name] += 1
                call.cancel()

    repeating(max(1, number // STREAMS), once)


def refused(world: World, number: int) -> None:
    """So many refused calls a second by nobody, and by somebody who may not."""
    nobody = world.credentials(None)

    def once() -> None:
        with own_connection(world.state.gateway.jwt, nobody) as channel, world.channel("auditor") as auditor:
            redeem, kill = EnrolmentServiceStub(channel).Redeem, RegistryServiceStub(auditor).Kill
            while not ENDED.wait(4 / number):
                tried(lambda: redeem(enrolment_pb2.RedeemRequest(region="eu10", token="x"), timeout=5))
                tried(lambda: kill(registry_pb2.KillRequest(tenant="acme", reason="x"), timeout=5))

    repeating(2, once)


def reports(world: World, number: int) -> None:
    """Reports of a region that it has not signed, so many at once."""

    def once() -> None:
        with world.channel("us20") as channel:
            report = ReportServiceStub(channel).Report
            signed = signed_pb2.Signed(key_id="0" * 16, signature=b"x" * 64, content=os.urandom(30_000))
            while not ENDED.is_set():
                tried(lambda: report(report_pb2.ReportRequest(region="us20", signed=signed), timeout=5))

    repeating(number, once)


# How much of it was seen.
KINDS: dict[str, tuple[Callable[[World, int], None], int]] = {
    "bodies": (bodies, 150),
    "connections": (connections, 2000),
    "consoles": (consoles, 60),
    "watches": (watches, 4000),
    "refused": (refused, 217),
    "reports": (reports, 8),
}
# What has been tried before it counts as a flood.
LEAST = {"bodies": 150, "connections": 2000, "consoles": 30, "watches": 500, "refused": 50, "reports": 50}


@contextmanager
def flooding(world: World, kind: str) -> Iterator[Counter[str]]:
    """That flood goes on inside the block; what it did and how it was answered is known after it."""
    command = [sys.executable, "-m", "tests.system.floods", kind, str(world.place), str(KINDS[kind][1])]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    tally: Counter[str] = Counter()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == READY, kind
        yield tally
        process.stdin.close()
        tally.update(json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait(10)


def main(kind: str, place: str, number: str) -> None:
    """Flood until the input ends."""
    # What it costs to flood is not what it costs to be flooded.
    os.setsid()
    os.nice(19)
    # Linux shares the processors among sessions first; see stack.spawn.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")
    raise_file_limit()
    KINDS[kind][0](World(Path(place)), int(number))
    until = time.monotonic() + SECONDS
    while TALLY["tried"] < LEAST[kind] and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    sys.stdout.write(READY)
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.write(json.dumps(TALLY.copy()) + "\n")
    sys.stdout.flush()
    # What still waits for an answer is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
