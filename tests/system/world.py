"""A running stack, as its tests use it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import hvac
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2_grpc import CryptoServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import LinkSpec, Resource, Selector, ServiceSpec, SystemSpec, TenantSpec

from runtime.rpc import OPTIONS
from stack import api
from stack.state import State

ROOT = Path(__file__).resolve().parents[2]
REGIONS = ("eu10", "us20")
SECONDS = 15
Answer = TypeVar("Answer")


@dataclass(slots=True)
class World:
    """A stack of two regions, declared."""

    place: Path

    @property
    def state(self) -> State:
        return api.load_state(self.place)

    def credentials(self, identity: str | None = "operator") -> grpc.ChannelCredentials:
        folder = self.place / "identity" / (identity or "operator") / "current"
        folder = folder.resolve()
        authorities = (self.place / "identity" / "ca.pem").read_bytes()
        if identity is None:
            return grpc.ssl_channel_credentials(authorities)
        return grpc.ssl_channel_credentials(
            authorities, (folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()
        )

    @contextmanager
    def channel(self, identity: str | None = "operator", address: str = "") -> Iterator[grpc.Channel]:
        address = address or self.state.gateway.mtls
        with grpc.secure_channel(address, self.credentials(identity), options=OPTIONS) as channel:
            yield channel

    @contextmanager
    def registry(self, identity: str | None = "operator") -> Iterator[RegistryServiceStub]:
        with self.channel(identity) as channel:
            yield RegistryServiceStub(channel)

    @contextmanager
    def crypto(self, region: str, identity: str | None = "operator") -> Iterator[CryptoServiceStub]:
        with self.channel(identity, self.state.regions[region].crypto) as channel:
            yield CryptoServiceStub(channel)

    def orbital(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The command line, as a person uses it."""
        command = [sys.executable, "-m", "console.cli", *arguments, "--data", str(self.place)]
        return subprocess.run(command, input=stdin, capture_output=True, cwd=ROOT, timeout=180, check=False)

    def orbital_plain(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """A command that needs no stack."""
        command = [sys.executable, "-m", "console.cli", *arguments]
        return subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False)

    def declare(self, resources: Sequence[Resource]) -> str:
        """Declare, however long a part is away; returns the correlation ID."""

        def once() -> str:
            with self.registry() as stub:
                return stub.Declare(registry.DeclareRequest(resources=resources), timeout=SECONDS).correlation_id

        return retried(once)

    def converged(self, *, tenant: str = "", region: str = "", seconds: float = 120) -> list[registry.Placement]:
        """Wait until every placement chosen is at its desired generation, and return them all."""

        def look() -> list[registry.Placement] | None:
            chosen = registry.PlacementFilter(tenant=tenant, region=region)
            with self.registry() as stub:
                found = stub.ListPlacements(registry.ListPlacementsRequest(filter=chosen), timeout=SECONDS).placements
            behind = [item for item in found if item.desired_generation > item.observed_generation]
            return None if behind else list(found)

        return eventually(look, seconds, f"placements of {tenant or 'all'} converge")

    def vault(self, region: str) -> hvac.Client:
        """The region's OpenBao with every right: what an auditor of the tests sees."""
        port = self.state.ports[f"openbao-{region}"]
        token = (self.place / "secrets" / f"openbao-{region}-root-token").read_text().strip()
        client = hvac.Client(
            url=f"https://127.0.0.1:{port}", token=token, verify=str(self.place / "identity" / "ca.pem")
        )
        client.session.trust_env = False
        return client

    def key_material(self, region: str, tenant: str) -> dict[str, list[str]]:
        """What the region's OpenBao holds of a tenant: transit keys, and blobs by kind."""
        vault = self.vault(region)
        held = {"transit": [name for name in _list(vault, "l2/keys") if name.startswith(f"{tenant}.")]}
        for kind in ("systems", "services", "links"):
            held[kind] = sorted(_walk(vault, f"keys/metadata/{kind}/{tenant}"))
        return held


def _list(vault: hvac.Client, path: str) -> list[str]:
    answer = vault.list(path)
    return sorted(answer["data"]["keys"]) if answer else []


def _walk(vault: hvac.Client, path: str) -> Iterator[str]:
    for name in _list(vault, path):
        if name.endswith("/"):
            yield from (f"{name}{below}" for below in _walk(vault, f"{path}/{name.rstrip('/')}"))
        else:
            yield name


def retried(call: Callable[[], Answer], seconds: float = 90) -> Answer:
    """The answer of a call that may find its server away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def eventually(look: Callable[[], Answer | None], seconds: float, what: str) -> Answer:
    """What `look` answers once it answers something; a server that is away counts as nothing."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except grpc.RpcError as error:
            found, last = None, error
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"Within {seconds} s not: {what} (last error: {last})")


def refused(call: Callable[[], object]) -> grpc.RpcError:
    """The error of a call that must not succeed."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"It was let through and answered {answer}")


def tenancy(tenant: str, systems: int = 1, services: int = 2, **labels: str) -> list[Resource]:
    """A tenant in both regions, with systems, services, and a link for each system."""
    name = f"tenants/{tenant}"
    found = [Resource(name=name, labels=labels, tenant=TenantSpec(placement=Selector(regions=REGIONS)))]
    for system in range(systems):
        place = f"{name}/systems/s{system}"
        found.append(Resource(name=place, labels=labels, system=SystemSpec()))
        found += [
            Resource(name=f"{place}/services/v{service}", labels=labels, service=ServiceSpec())
            for service in range(services)
        ]
        link = LinkSpec(system=f"s{system}", provider="hsm", key=f"{tenant}-root")
        found.append(Resource(name=f"{name}/links/s{system}", link=link))
    return found
