"""An edge of region eu10 as its own machine sees it: a real Envoy and a real OPA, and the region's side in a thread."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orbital.v1 import resource_pb2 as rpb

from region.adapters.edge.bundle import SignedBundles, load_packer
from region.adapters.edge.server import EdgeServer, serve_edges
from region.domain.edge import EdgeLimits, EdgeReport, compiled
from region.flow.edge import EdgeFleet, ServedBundle
from region.ports.edge import Bundle
from region.ports.host import real_host
from runtime.bundle import ensure_keys
from runtime.templates import render, write
from stack.acquire import path as binary
from tests.contract.policies.conftest import ROOT, Process, Site, free_port, token_of, until

REGO = ROOT / "policies" / "authz" / "edge" / "edge.rego"
NAME = "edge-eu10"


class Server(EdgeServer):
    """Counts what is asked of it."""

    asked = 0

    async def bundle(self, request: Any) -> Any:
        """See EdgeServer."""
        self.asked += 1
        return await super().bundle(request)


class RegionSide:
    """What the region serves to its edges, on the socket that its Envoy leads to."""

    def __init__(self, listen: Path) -> None:
        self.served, self.fleet = ServedBundle(), EdgeFleet(real_host(), EdgeLimits(drift=5.0, silence=30.0))
        self.server = Server(self.served, self.fleet, time.time)
        self._listen = listen
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()

    @contextmanager
    def running(self) -> Iterator[RegionSide]:
        """Serve inside the block."""
        thread = threading.Thread(target=self._live, daemon=True)
        thread.start()
        assert self._up.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)

    def _live(self) -> None:
        with self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        async with serve_edges(self._listen, self.server):
            self._up.set()
            await self._stop.wait()

    def put(self, bundle: Bundle) -> Bundle:
        """Serve this bundle from now on."""

        async def work() -> None:
            self.served.put(bundle)
            self.fleet.desire(bundle.revision)

        self._run(work())
        return bundle

    def heard(self) -> EdgeReport | None:
        """What the edge last said of itself."""
        return self.fleet._heard.get("edge-1")

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def packer(place: Path) -> SignedBundles:
    """Signs with the key in `place`, which is made at the first call."""
    ensure_keys(place)
    return load_packer(REGO, place / "bundle.key")


def policies(*rules: rpb.EdgeRule) -> list[rpb.Resource]:
    """One policy with these rules."""
    found = rpb.Resource(name="edge-policies/one", generation=1)
    found.edge_policy.rules.extend(rules or [rpb.EdgeRule(name="all", effect=rpb.EDGE_EFFECT_ALLOW)])
    return [found]


def content(*rules: rpb.EdgeRule, killed: dict[str, int] | None = None) -> dict[str, Any]:
    """What such a policy compiles to."""
    return compiled(policies(*rules), killed or {})


class EdgeEngine(Process):
    """The edge's OPA, which trusts the key in `keys`."""

    def __init__(self, site: Site, keys: Path, bundles_port: int) -> None:
        self.api = site.run / f"opa-{NAME}.sock"
        parameters = {
            "NAME": NAME,
            "EDGE": "edge-1",
            "REGION": "eu10",
            "BUNDLES_PORT": bundles_port,
            "PUBLIC_KEY": ensure_keys(keys).read_text(),
            "PERSISTENCE": str(site.place / f"opa-{NAME}"),
            "RUN": str(site.run),
            "DESCRIPTORS": str(ROOT / "build" / "orbital.pb"),
            "TOKEN": token_of(NAME),
        }
        configuration = site.place / f"opa-{NAME}.yaml"
        write(render(ROOT / "policies" / "edge.yaml", parameters), configuration)
        guard = str(ROOT / "policies" / "system" / "authz" / "authz.rego")
        options = ["--authorization", "basic", "--skip-version-check", "--log-level", "error"]
        command = [str(binary("opa")), "run", "--server", "--addr", f"unix://{self.api}", *options]
        super().__init__([*command, "--config-file", str(configuration), guard], site.place / f"opa-{NAME}.log")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        for left in (self.api, self.api.with_name(f"opa-{NAME}-authz.sock")):
            left.unlink(missing_ok=True)
        super().start()
        until(lambda: self._get("/health") == 200, "the edge's engine answers")

    def ready(self) -> bool:
        """Whether a policy is in force."""
        return self._get("/health?bundles=true") == 200

    def _get(self, target: str) -> int:
        connection = http.client.HTTPConnection("opa", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.api))
            connection.request("GET", target)
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def edge(site: Site) -> Iterator[tuple[RegionSide, EdgeEngine, SignedBundles]]:
    """An edge that runs, without a policy yet."""
    site.enrol(NAME, "spiffe://orbital/edge/eu10/edge-1")
    site.ports |= {NAME: free_port(), f"{NAME}-bundles": free_port()}
    keys = site.place / "edge-keys"
    engine = EdgeEngine(site, keys, site.ports[f"{NAME}-bundles"])
    with RegionSide(site.run / "region-eu10-edge.sock").running() as region:
        try:
            engine.start()
            site.start_envoy(
                "edge.yaml",
                f"envoy-{NAME}",
                NAME=NAME,
                REGION="eu10",
                EDGE_PORT=site.ports[NAME],
                BUNDLES_PORT=site.ports[f"{NAME}-bundles"],
                CRYPTO_PORT=site.ports["eu10-crypto"],
                ENGINE_TOKEN=token_of(NAME),
            )
            yield region, engine, packer(keys)
        finally:
            engine.kill()
            if f"envoy-{NAME}" in site.envoys:
                site.envoys.pop(f"envoy-{NAME}").kill()
