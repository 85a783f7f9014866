"""A gateway and two regions as far as policy goes: real Envoys and OPAs, in front of servers that only echo."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from runtime.bundle import Bundle, build_bundle
from runtime.envoy import prepare, proof
from runtime.issuers import REGION, Issuers, claims, providers, read_issuers
from runtime.templates import Parameter, render, write
from stack.acquire import path as binary
from tests.contract.policies.keeping import Keeper
from tests.contract.policies.pki import Authority, TokenIssuer
from tests.contract.policies.upstream import BundleServer, Echo, IssuerServer

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / "envoy"


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until `condition` holds; connection errors count as no."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, grpc.RpcError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    pytest.fail(f"{what} did not happen within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def token_of(engine: str) -> str:
    """By what an engine proves who it is."""
    return f"token-of-{engine}"


def tokens(place: str) -> dict[str, Parameter]:
    """What the sidecar of the gateway's or a region's engines knows them by."""
    return {f"{role.upper()}_TOKEN": token_of(f"opa-{place}-{role}") for role in ("immediate", "bulk")}


class Process:
    """One real part, started and ended by us alone."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        assert self._running
        return self._running.pid

    def kill(self) -> None:
        if self._running:
            self._running.kill()
            self._running.wait(10)
            self._running = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Alive and silent inside the block."""
        assert self._running
        self._running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running.send_signal(signal.SIGCONT)


class Engine(Process):
    """A policy engine."""

    def __init__(self, site: Site, name: str, component: str, region: str, bundles_port: int) -> None:
        self.name, self.port = name, free_port()
        configuration = site.place / f"{name}.yaml"
        parameters = {
            "NAME": name,
            "COMPONENT": component,
            "REGION": region,
            "BUNDLES_PORT": bundles_port,
            "PUBLIC_KEY": site.bundle.public_key.read_text(),
            "PERSISTENCE": str(site.place / name),
            "RUN": str(site.run),
            "DESCRIPTORS": str(ROOT / "build" / "orbital.pb"),
            "TOKEN": token_of(name),
        }
        write(render(ROOT / "policies" / "opa.yaml", parameters), configuration)
        guard = str(ROOT / "policies" / "system" / "authz" / "authz.rego")
        options = [
            "--authorization",
            "basic",
            "--skip-version-check",
            "--log-level",
            "error",
            "--config-file",
            str(configuration),
            guard,
        ]
        command = [str(binary("opa")), "run", "--server", "--addr", f"127.0.0.1:{self.port}", *options]
        super().__init__(command, site.place / f"{name}.log")

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, target, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait(self) -> None:
        until(lambda: self.ask("GET", "/health?bundles=true&plugins=true")[0] == 200, f"{self.name} ready")


class Site:
    """Everything of one test session, below one directory."""

    def __init__(self, place: Path, run: Path) -> None:
        self.place, self.run = place, run
        self.authority, self.issuer = Authority(), TokenIssuer()
        self.foreign = TokenIssuer(
            "https://foreign.test", "urn:orbital", lambda region: {"orbital": {"site": f"region:{region}"}}
        )
        self.ports = {name: free_port() for name in ("mtls", "jwt", "ias", "foreign", "bundles")}
        self.issuers = self._issuers()
        self.bundle: Bundle = build_bundle(
            *(binary("opa"), ROOT / "policies", place / "keys", place / "orbital.tar.gz", {}, claims(self.issuers))
        )
        for region in ("eu10", "us20"):
            self.ports |= {f"{region}-crypto": free_port(), f"{region}-bundles": free_port()}
        (place / "ca.pem").write_bytes(self.authority.certificate)
        self.engines: dict[str, Engine] = {}
        self.envoys: dict[str, Process] = {}
        self.echoes: dict[str, Echo] = {}
        self.issuer_servers: dict[str, IssuerServer] = {}

    def _issuers(self) -> Issuers:
        """One that is found by discovery, and a foreign one with another audience and another claim."""
        ca = {"ca_file": self.place / "ca.pem"}
        ias, foreign = (f"https://127.0.0.1:{self.ports[name]}" for name in ("ias", "foreign"))
        discovery = f"{ias}/.well-known/openid-configuration"
        person = {"names": "person", "claim": ["person"], "audiences": ["console"], "discovery": discovery}
        own = {"names": "region", "claim": ["region"], "audiences": ["orbital-gateway"], "discovery": discovery}
        other = {
            "names": "region",
            "claim": ["orbital", "site"],
            "prefix": "region:",
            "audiences": ["x", "urn:orbital"],
        }
        return read_issuers(
            {
                "ias": {"issuer": self.issuer.name, **own, **ca},
                "foreign": {"issuer": self.foreign.name, "jwks": f"{foreign}/keys", **other, **ca},
                "people": {"issuer": self.issuer.name, **person, **ca},
            }
        )

    def start_issuers(self) -> None:
        """Both issuers answer."""
        for name, issuer in (("ias", self.issuer), ("foreign", self.foreign)):
            certificate = self.authority.issue("spiffe://orbital/oidc")
            server = IssuerServer(self.ports[name], issuer.name, issuer.keys, *certificate)
            self.issuer_servers[name] = server.__enter__()

    def stop_issuers(self) -> None:
        """None of them answers."""
        while self.issuer_servers:
            self.issuer_servers.popitem()[1].__exit__()

    def start_keeper(self) -> None:
        """What keeps the issuers' keys for Envoy."""
        sources = {name: each.source() for name, each in self.issuers.items() if each.names == REGION}
        self.keeping = Keeper(self.run / "gateway-keys.sock", self.place / "key-sets", sources).__enter__()

    def stop_keeper(self) -> None:
        """Nobody answers Envoy about keys."""
        self.keeping.__exit__()

    def start_gateway(self) -> None:
        """The gateway's Envoy."""
        self.start_envoy(
            "gateway.yaml",
            "envoy-gateway",
            MTLS_PORT=self.ports["mtls"],
            JWT_PORT=self.ports["jwt"],
            BUNDLES_PORT=self.ports["bundles"],
            **tokens("gateway"),
            **providers(TEMPLATES / "issuers" / "provider.yaml", self.issuers, REGION),
        )

    def identity(self, name: str) -> Path:
        return self.place / "identity" / name

    def enrol(self, name: str, uri: str) -> None:
        directory = self.identity(name)
        self.authority.write(directory, uri)
        for kind in ("certificate", "authorities"):
            write(
                render(TEMPLATES / "identity" / f"{kind}.yaml", {"IDENTITY": str(directory)}),
                directory / f"{kind}.yaml",
            )

    def give_token(self, region: str, token: str) -> None:
        write(render(TEMPLATES / "identity" / "token.yaml", {"TOKEN": token}), self.identity(region) / "token.yaml")

    def channel(self, port: str, name: str | None, uri: str = "") -> grpc.Channel:
        """A channel to one of our Envoys, with the identity `name`, or a fresh one with `uri`, or none."""
        if name:
            key, chain = ((self.identity(name) / "current" / f"{part}.pem").read_bytes() for part in ("key", "cert"))
        elif uri:
            key, chain = self.authority.issue(uri)
        else:
            key = chain = None
        credentials = grpc.ssl_channel_credentials(self.authority.certificate, key, chain)
        options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1))
        return grpc.secure_channel(f"127.0.0.1:{self.ports[port]}", credentials, options)

    def region(self, name: str) -> grpc.Channel:
        """The way out of a region, as its processes take it."""
        return grpc.insecure_channel(f"unix:{self.run}/region-{name}-out.sock")

    def start_envoy(self, template: str, name: str, **parameters: Parameter) -> None:
        identity = str(self.identity(name.removeprefix("envoy-")))
        shared = {"RUN": str(self.run), "LOGS": str(self.place), "IDENTITY": identity}
        configuration = self.place / f"{name}.yaml"
        envoy = binary("envoy")
        prepare(TEMPLATES / "sidecars" / template, shared | parameters, configuration, envoy=envoy)
        arguments = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "-c", str(configuration)]
        self.envoys[name] = Process([str(envoy), *arguments], self.place / f"{name}.log")
        self.envoys[name].start()


def _region(site: Site, name: str, gateway: str) -> None:
    site.start_envoy(
        "region.yaml",
        f"envoy-{name}",
        **proof(TEMPLATES / "identity" / f"proof-{gateway}.yaml", str(site.identity(name))),
        REGION=name,
        CRYPTO_PORT=site.ports[f"{name}-crypto"],
        BUNDLES_PORT=site.ports[f"{name}-bundles"],
        **tokens(name),
        GATEWAY_PORT=site.ports[gateway],
    )


def _start(site: Site, resources: ExitStack) -> None:
    people = {"operator": "person/operator", "auditor": "person/auditor", "gateway": "gateway"}
    for name, uri in people.items() | {(region, f"region/{region}") for region in ("eu10", "us20")}:
        site.enrol(name, f"spiffe://orbital/{uri}")
    site.give_token("us20", site.issuer.token("us20"))
    for name in ("gateway-immediate", "gateway-bulk", "region-eu10-immediate", "region-us20-immediate"):
        site.echoes[name] = resources.enter_context(Echo(name, site.run / f"{name}.sock"))
    resources.enter_context(BundleServer(site.run / "gateway-http.sock", site.bundle.path, site.place / "posted"))
    site.start_issuers()
    resources.callback(site.stop_issuers)
    site.start_keeper()
    resources.callback(site.stop_keeper)
    engines = (
        ("opa-gateway-immediate", "gateway", "global", "bundles"),
        ("opa-eu10-immediate", "region", "eu10", "eu10-bundles"),
        ("opa-us20-immediate", "region", "us20", "us20-bundles"),
    )
    for name, component, region, port in engines:
        site.engines[name] = Engine(site, name, component, region, site.ports[port])
        resources.callback(site.engines[name].kill)
        site.engines[name].start()
    resources.callback(lambda: [envoy.kill() for envoy in site.envoys.values()])
    site.start_gateway()
    _region(site, "eu10", "mtls")
    _region(site, "us20", "jwt")
    for engine in site.engines.values():
        engine.wait()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The whole of it, running; its policy engines have their bundle."""
    run = Path(tempfile.mkdtemp(prefix="orbital-"))
    with ExitStack() as resources:
        resources.callback(shutil.rmtree, run, ignore_errors=True)
        running = Site(tmp_path_factory.mktemp("policies"), run)
        _start(running, resources)
        yield running
