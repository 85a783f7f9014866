"""A region's checker: one process, which looks at everything that the region depends on."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp

from stack.parts import softhsm
from stack.parts.workers import variables
from stack.site import Region, Site
from stack.unit import Launch, Server

# Looking must not take from what is looked at.
NICE = 5


class Checker(Server):
    """It starts without any of the parts: that one is away is what it is there to tell."""

    def __init__(self, site: Site, region: Region) -> None:
        super().__init__(site)
        self.name = f"checker-{region.name}"
        self.requires = ("certificates", f"softhsm-{region.name}")
        self.wants = (
            *(f"envoy-{region.name}", f"openbao-{region.name}", "envoy-gateway", "gateway-bulk"),
            *(f"{part}-{region.name}-{role}" for part in ("opa", "region") for role in ("immediate", "bulk")),
        )
        self._region = region.name

    @property
    def socket(self) -> Path:
        """Where it serves its health."""
        return self.site.layout.run / f"{self.name}.sock"

    async def prepare(self) -> Launch:
        """Its settings."""
        site, region, run = self.site, self._region, self.site.layout.run
        settings: dict[str, object] = {
            "NAME": self.name,
            "REGION": region,
            "LISTEN": self.socket,
            "DISK": site.layout.part(f"region-{region}"),
            "OPA__IMMEDIATE_URL": f"http://{site.address(f'opa-{region}-immediate')}",
            "OPA__BULK_URL": f"http://{site.address(f'opa-{region}-bulk')}",
            "OPENBAO__ADDRESS": f"https://{site.address(f'openbao-{region}')}",
            "OPENBAO__CA_FILE": site.authority(),
            "HSM__LIBRARY": softhsm.library(site),
            "HSM__TOKEN": softhsm.token_label(region),
            "HSM__PIN_FILE": site.secret(f"hsm-{region}-pin"),
            "HSM__CONF": softhsm.configuration(site, region),
            "ENVOY__ADMIN": run / f"admin-envoy-{region}.sock",
            "ENVOY__GATEWAY": f"unix:{run / f'region-{region}-out.sock'}",
            "PROCESSES__IMMEDIATE": f"unix:{run / f'region-{region}-immediate.sock'}",
            "PROCESSES__BULK": f"unix:{run / f'region-{region}-bulk.sock'}",
        }
        site.place(f"region-{region}")
        argv = (sys.executable, "-m", "checker.main")
        return Launch(argv=argv, cwd=site.place(self.name), env=variables(settings), nice=NICE)

    async def ready(self) -> bool:
        """Whether it probes."""
        connector = aiohttp.UnixConnector(str(self.socket))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://checker/livez") as answer:
            return answer.status == 200
