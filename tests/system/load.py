"""Callers that never rest, each call counted, each failure kept: what goes on while identities change."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography import x509
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.crypto_pb2_grpc import CryptoServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub

from tests.system.world import REGIONS, SECONDS, World, tenancy

PAUSE = 0.05


@dataclass
class Load:
    """What the callers did so far."""

    calls: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, name: str, call: Callable[[], object]) -> None:
        """Call until it is over; no call is tried twice."""
        while not self.over.is_set():
            try:
                call()
            except (grpc.RpcError, AssertionError) as error:
                code = error.code().name if isinstance(error, grpc.RpcError) else ""
                details = error.details() if isinstance(error, grpc.RpcError) else error
                self.failures.append(f"{name}: {code} {details}")
            self.calls[name] += 1
            self.over.wait(PAUSE)


@contextmanager
def loaded(world: World, tenant: str) -> Iterator[Load]:
    """Callers on connections that stay, and on a new one for each call, of people and of workloads, all the while."""
    world.declare(tenancy(tenant))
    world.converged(tenant=tenant)
    load = Load()
    with ExitStack() as stack:
        calls: dict[str, Callable[[], object]] = {}
        for region in REGIONS:
            channel = stack.enter_context(world.channel("operator", world.state.regions[region].crypto))
            calls[f"crypto in {region}"] = crypto(CryptoServiceStub(channel), tenant)
            calls[f"crypto in {region}, connecting"] = connecting(world, region, tenant)
        stays = stack.enter_context(world.registry())
        calls["registry"] = lambda: stays.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS)
        calls["declaring"] = declaring(stays, tenant)
        threads = [threading.Thread(target=load.run, args=item, name=item[0]) for item in calls.items()]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.over.set()
            for thread in threads:
                thread.join()
    world.converged(tenant=tenant)


def crypto(stub: CryptoServiceStub, tenant: str) -> Callable[[], object]:
    about: dict[str, Any] = {"tenant": tenant, "system": "s0", "service": "v0"}

    def call() -> None:
        wrapped = stub.Wrap(WrapRequest(plaintext=b"kept", **about), timeout=SECONDS)
        unwrapped = stub.Unwrap(UnwrapRequest(ciphertext=wrapped.ciphertext, **about), timeout=SECONDS)
        assert unwrapped.plaintext == b"kept"

    return call


def connecting(world: World, region: str, tenant: str) -> Callable[[], object]:
    def call() -> None:
        with world.crypto(region) as stub:
            crypto(stub, tenant)()

    return call


def declaring(stub: RegistryServiceStub, tenant: str) -> Callable[[], object]:
    """A change every time, so that tasks and reports are on their way."""

    def call() -> None:
        changed = tenancy(tenant, step=f"at-{time.monotonic_ns()}")
        stub.Declare(registry.DeclareRequest(resources=changed), timeout=SECONDS)
        time.sleep(0.2)

    return call


def shown(world: World) -> int:
    """The serial number of the certificate that the gateway's Envoy shows at this moment."""
    host, _, port = world.state.gateway.jwt.rpartition(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode()).serial_number


def path_events(world: World) -> Iterator[dict[str, Any]]:
    """What regions said of their lane streams and broker connections, each process's in order."""
    for part in ("immediate", "bulk"):
        for log in sorted(world.place.glob(f"log/region-*-{part}.log")):
            for line in log.read_text().splitlines():
                if '"event": "stream_' in line or '"event": "inlet_' in line:
                    yield json.loads(line)


def paths_lost(world: World) -> list[dict[str, Any]]:
    """Every end of a lane stream or broker connection that was open; not the attempts to open one."""
    last: dict[tuple[Any, ...], str] = {}
    found = []
    for each in path_events(world):
        path = (each["process"], each["module"], each["lane"], each.get("transport"))
        if each["event"].endswith("_lost") and not last.get(path, "_lost").endswith("_lost"):
            found.append(each)
        last[path] = each["event"]
    return found


def certificates_issued(world: World) -> Counter[str]:
    """How often each identity got a certificate."""
    log = (world.place / "log" / "supervisor.log").read_text()
    return Counter(
        line.partition('"identity": "')[2].partition('"')[0]
        for line in log.splitlines()
        if "certificate issued" in line
    )
