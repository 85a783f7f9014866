"""The edge of a region: a small Envoy and a policy engine in front of the region's Crypto service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from runtime import templates
from runtime.bundle import ensure_keys
from runtime.files import read_text
from stack.context import EDGE, Region, StackContext
from stack.parts.envoy import Envoy
from stack.parts.opa import DESCRIPTORS, GUARD, POLICIES
from stack.secret_files import engine_token
from stack.unit import Launch, Server, Step


def keys_of(region: str) -> str:
    """The step that makes the region's key for edge policy."""
    return f"edge-keys-{region}"


def key_directory(context: StackContext, region: str) -> Path:
    """The directory with `bundle.key`, by which the region signs, and `bundle.pub`, which its edges trust."""
    return context.layout.secrets / f"edge-{region}"


def socket(context: StackContext, region: str) -> Path:
    """Where the region answers its edges."""
    return context.layout.run / f"region-{region}-edge.sock"


def served(context: StackContext, region: str) -> dict[str, object]:
    """The settings of the process that serves the region's edges."""
    return {
        "EDGE__SERVE__LISTEN": socket(context, region),
        "EDGE__SERVE__POLICY": POLICIES / "authz" / "edge" / "edge.rego",
        "EDGE__SERVE__KEY_FILE": key_directory(context, region) / "bundle.key",
    }


class EdgeKeys(Step):
    """The key pair by which the region signs what its edges run."""

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context)
        self.name = keys_of(region.name)
        self._region = region.name

    async def run(self) -> None:
        """Make it, once."""
        await asyncio.to_thread(ensure_keys, key_directory(self.context, self._region))


class EdgeEnvoy(Envoy):
    """In front: workloads come here, and it goes on to the region with the edge's own identity."""

    concurrency = 1

    def __init__(self, context: StackContext, region: Region) -> None:
        name = f"edge-{region.name}"
        super().__init__(context, f"envoy-{name}", name, "edge.yaml")
        self._region = region.name

    def parameters(self) -> Mapping[str, templates.Parameter]:
        """Ports."""
        ports, region = self.context.ports, self._region
        return {
            "NAME": f"edge-{region}",
            "REGION": region,
            "EDGE_PORT": ports[f"edge-{region}-crypto"],
            "BUNDLES_PORT": ports[f"edge-{region}-bundles"],
            "CRYPTO_PORT": ports[f"region-{region}-crypto"],
            "ENGINE_TOKEN": engine_token(self.context, f"opa-edge-{region}"),
        }


class EdgeOpa(Server):
    """Decides, by the policy that the region distributes."""

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context)
        self.name = f"opa-edge-{region.name}"
        # Its first question should find the region there: the next one is asked a second later.
        self.requires = (
            *(keys_of(region.name), f"envoy-edge-{region.name}", f"envoy-{region.name}"),
            *(f"region-{region.name}-immediate", f"opa-{region.name}-immediate"),
        )
        self._region = region.name

    @property
    def _api(self) -> Path:
        return self.context.layout.run / f"{self.name}.sock"

    async def prepare(self) -> Launch:
        """Its configuration; the public half of the region's key is part of it."""
        return await asyncio.to_thread(self._prepare)

    async def ready(self) -> bool:
        """Whether the region's policy is in force."""
        connector = aiohttp.UnixConnector(str(self._api))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://opa/health?bundles=true&plugins=true") as answer,
        ):
            return answer.status == 200

    def _prepare(self) -> Launch:
        context, place = self.context, self.context.place(self.name)
        (place / "persistence").mkdir(mode=0o700, exist_ok=True)
        for left in (self._api, context.layout.run / f"{self.name}-authz.sock"):
            left.unlink(missing_ok=True)
        parameters: dict[str, templates.Parameter] = {
            "NAME": f"edge-{self._region}",
            "EDGE": EDGE,
            "REGION": self._region,
            "BUNDLES_PORT": context.ports[f"edge-{self._region}-bundles"],
            "PUBLIC_KEY": read_text(key_directory(context, self._region) / "bundle.pub"),
            "PERSISTENCE": str(place / "persistence"),
            "RUN": str(context.layout.run),
            "DESCRIPTORS": str(DESCRIPTORS),
            "TOKEN": engine_token(context, self.name),
        }
        configuration = place / "opa.yaml"
        templates.write(templates.render(POLICIES / "edge.yaml", parameters), configuration)
        server = (str(context.binary("opa")), "run", "--server", "--addr", f"unix://{self._api}")
        options = ("--authorization", "basic", "--skip-version-check", "--log-level", "error")
        argv = (*server, *options, "--config-file", str(configuration), str(GUARD))
        return Launch(argv=argv, cwd=place, env={"GOMAXPROCS": "1"})
