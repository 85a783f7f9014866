"""Policy engines: OPA with Envoy's ext_authz inside, and the signed bundle that all of them run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from runtime import templates
from runtime.bundle import build_bundle
from runtime.files import read_text
from runtime.issuers import claims
from stack.context import ROOT, StackContext
from stack.identity.signing import LOOK_EVERY, signers
from stack.issuers import issuers
from stack.secret_files import engine_token
from stack.unit import Launch, Server, Step

POLICIES = ROOT / "policies"
DESCRIPTORS = ROOT / "build" / "orbital.pb"
GUARD = POLICIES / "system" / "authz" / "authz.rego"


def bundle(context: StackContext) -> Path:
    """The signed bundle, which the gateway serves."""
    return context.layout.part("gateway") / "orbital.tar.gz"


def bundle_keys(context: StackContext) -> Path:
    """The directory with `bundle.key`, which signs, and `bundle.pub`."""
    return context.layout.secrets / "bundle"


class Policies(Step):
    """Builds and signs the bundle."""

    name = "policies"
    requires = ("signing-keys",)

    async def run(self) -> None:
        """Build it from the policies as they are now."""
        self.context.place("gateway")
        await asyncio.to_thread(self._build, signers(self.context))

    async def keep(self) -> None:
        """Build it again when a signing key was rotated."""
        built = await asyncio.to_thread(signers, self.context)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            found = await asyncio.to_thread(signers, self.context)
            if found != built:
                await asyncio.to_thread(self._build, found)
                built = found

    def _build(self, keys: Mapping[str, Mapping[str, Any]]) -> None:
        known = claims(issuers(self.context))
        build_bundle(self.context.binary("opa"), POLICIES, bundle_keys(self.context), bundle(self.context), keys, known)


class Opa(Server):
    """The engine beside one Envoy; `region` is empty for the gateway's."""

    requires = ("policies",)
    # The bundle comes from the gateway, through the Envoys.
    wants: tuple[str, ...] = ("envoy-gateway", "gateway-bulk")

    def __init__(self, context: StackContext, name: str, region: str, bundles_port: str, nice: int) -> None:
        super().__init__(context)
        self.name = name
        self._region = region
        self._nice = nice
        self._bundles_port = bundles_port
        if region:
            self.wants = (*self.wants, f"envoy-{region}", "paths")

    async def prepare(self) -> Launch:
        """Its configuration."""
        return await asyncio.to_thread(self._prepare)

    async def ready(self) -> bool:
        """Whether the bundle is in force."""
        url = f"http://{self.context.address(self.name)}/health?bundles=true&plugins=true"
        async with aiohttp.ClientSession(trust_env=False) as session, session.get(url) as answer:
            return answer.status == 200

    def _prepare(self) -> Launch:
        place = self.context.place(self.name)
        (place / "persistence").mkdir(mode=0o700, exist_ok=True)
        (self.context.layout.run / f"{self.name}-authz.sock").unlink(missing_ok=True)
        parameters = {
            "NAME": self.name,
            "COMPONENT": "region" if self._region else "gateway",
            "REGION": self._region or "global",
            "BUNDLES_PORT": self.context.ports[self._bundles_port],
            "PUBLIC_KEY": read_text(bundle_keys(self.context) / "bundle.pub"),
            "PERSISTENCE": str(place / "persistence"),
            "RUN": str(self.context.layout.run),
            "DESCRIPTORS": str(DESCRIPTORS),
            "TOKEN": engine_token(self.context, self.name),
        }
        configuration = place / "opa.yaml"
        templates.write(templates.render(POLICIES / "opa.yaml", parameters), configuration)
        server = (str(self.context.binary("opa")), "run", "--server", "--addr", self.context.address(self.name))
        options = ("--authorization", "basic", "--skip-version-check", "--log-level", "error")
        argv = (*server, *options, "--config-file", str(configuration), str(GUARD))
        # Batches make garbage of megabytes at once: collecting less often saves a fifth of the engine's CPU.
        return Launch(argv=argv, cwd=place, env={"GOGC": "400"}, nice=self._nice)
