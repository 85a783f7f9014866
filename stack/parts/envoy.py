"""Envoy beside the gateway and beside each region: rendered from the templates in envoy/, certificates by file SDS."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from runtime import envoy, templates
from runtime.files import read_text
from runtime.issuers import PERSON, REGION, providers
from stack.acquire.cache import root as cache
from stack.context import JWT, ROOT, Region, StackContext
from stack.issuers import issuers
from stack.openbao import people
from stack.secret_files import engine_token, kept_secret
from stack.unit import Launch, Server

SIDECARS = ROOT / "envoy" / "sidecars"
PROBES = ROOT / "envoy" / "listeners" / "probes.yaml"
CONSOLE = ROOT / "envoy" / "listeners" / "console.yaml"
IDENTITY = ROOT / "envoy" / "identity"
PROVIDER = ROOT / "envoy" / "issuers" / "provider.yaml"
# A token that nobody believes, until the region has fetched its own.
NO_TOKEN = "none"  # noqa: S105


class Envoy(Server):
    """An Envoy that reads its certificate from the identity called `identity`."""

    requires: tuple[str, ...] = ("certificates",)
    more: Path | None = None
    concurrency = 2

    def __init__(self, context: StackContext, name: str, identity: str, template: str) -> None:
        super().__init__(context)
        self.name = name
        self._identity = context.layout.identity(identity)
        self._template = SIDECARS / template

    @property
    def admin(self) -> Path:
        """The socket of its admin interface."""
        return self.context.layout.run / f"admin-{self.name}.sock"

    async def prepare(self) -> Launch:
        """The configuration, checked against Envoy's types and by the binary itself."""
        return await asyncio.to_thread(self._prepare)

    async def ready(self) -> bool:
        """Whether it says that it is live."""
        connector = aiohttp.UnixConnector(str(self.admin))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://admin/ready") as answer:
            return answer.status == 200

    @abstractmethod
    def parameters(self) -> Mapping[str, templates.Parameter]:
        """What the template wants, but for RUN, LOGS and IDENTITY."""

    def _prepare(self) -> Launch:
        binary, place = self.context.binary("envoy"), self.context.place(self.name)
        identity = {"IDENTITY": str(self._identity)}
        for secret in ("certificate", "authorities"):
            document = templates.render(IDENTITY / f"{secret}.yaml", identity)
            templates.write(document, self._identity / f"{secret}.yaml")
        parameters: dict[str, templates.Parameter] = {
            "RUN": str(self.context.layout.run),
            "LOGS": str(self.context.layout.logs),
            **identity,
        }
        target = place / "envoy.yaml"
        stamps = cache() / "stamps"
        parameters |= self.parameters()
        envoy.prepare(self._template, parameters, target, envoy=binary, stamps=stamps, more=self.more)
        argv = (str(binary), "--config-path", str(target), "--disable-hot-restart")
        options = ("--concurrency", str(self.concurrency), "--log-level", "warning")
        return Launch(argv=(*argv, *options), cwd=place)


class GatewayEnvoy(Envoy):
    """In front of the gateway: mTLS, TLS + JWT, people who logged in, and a loopback port of its own policy engines."""

    more = CONSOLE

    def __init__(self, context: StackContext) -> None:
        super().__init__(context, "envoy-gateway", "gateway", "gateway.yaml")

    def parameters(self) -> Mapping[str, templates.Parameter]:
        """Ports, and who issues tokens."""
        bao = f"https://{self.context.address('openbao-global')}"
        believed = issuers(self.context)
        return {
            **providers(PROVIDER, believed, REGION),
            **providers(PROVIDER, believed, PERSON),
            "MTLS_PORT": self.context.ports["gateway-mtls"],
            "JWT_PORT": self.context.ports["gateway-jwt"],
            "BUNDLES_PORT": self.context.ports["gateway-bundles"],
            "IMMEDIATE_TOKEN": engine_token(self.context, "opa-gateway-immediate"),
            "BULK_TOKEN": engine_token(self.context, "opa-gateway-bulk"),
            "OIDC_PORT": self.context.ports["openbao-global"],
            "CONSOLE_PORT": self.context.ports["console"],
            "CONSOLE_CLIENT": read_text(self.context.secret("console-client-id")),
            "PEOPLE_PORT": self.context.ports["gateway-people"],
            "CONSOLE_SECRETS": str(self.context.layout.secrets),
            "PEOPLE_ISSUER": people.issuer(bao),
            "LOGIN_PAGE": people.login_page(bao),
            "LOGOUT_PAGE": people.logout_page(bao),
        }

    def _prepare(self) -> Launch:
        kept_secret(self.context.secret("console-cookie-key"), 64)
        for name in ("console-client-secret", "console-cookie-key"):
            secret = {"NAME": name, "SECRET": read_text(self.context.secret(name))}
            templates.write(templates.render(IDENTITY / "secret.yaml", secret), self.context.secret(f"{name}.yaml"))
        return super()._prepare()


class RegionEnvoy(Envoy):
    """Beside a region: its way out to the gateway, its Crypto service's way in, and its checker's to its parts."""

    more = PROBES

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context, f"envoy-{region.name}", region.name, "region.yaml")
        self._region = region

    def parameters(self) -> Mapping[str, templates.Parameter]:
        """Ports; the gateway is reached through the region's path."""
        name = self._region.name
        return {
            **envoy.proof(IDENTITY / f"proof-{self._region.auth}.yaml", str(self._identity)),
            "REGION": name,
            "CRYPTO_PORT": self.context.ports[f"region-{name}-crypto"],
            "GATEWAY_PORT": self.context.ports[f"paths-{name}-gateway"],
            "BUNDLES_PORT": self.context.ports[f"region-{name}-bundles"],
            "IMMEDIATE_TOKEN": engine_token(self.context, f"opa-{name}-immediate"),
            "BULK_TOKEN": engine_token(self.context, f"opa-{name}-bulk"),
            "OPENBAO_PORT": self.context.ports[f"openbao-{name}"],
            "OPA_IMMEDIATE_PORT": self.context.ports[f"opa-{name}-immediate"],
            "OPA_BULK_PORT": self.context.ports[f"opa-{name}-bulk"],
        }

    def _prepare(self) -> Launch:
        token = self._identity / "token.yaml"
        if self._region.auth == JWT and not token.exists():
            templates.write(templates.render(IDENTITY / "token.yaml", {"TOKEN": NO_TOKEN}), token)
        return super()._prepare()
