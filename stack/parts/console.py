"""The console in a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp

from stack.openbao import people
from stack.parts.workers import variables
from stack.secret_files import kept_secret
from stack.unit import Launch, Server

# It makes room for whatever carries tasks and serves keys.
NICE = 5


class Console(Server):
    """It starts without the gateway: that something is away is what its pages are there to say."""

    name = "console"
    wants = ("envoy-gateway", "gateway-immediate", "gateway-bulk")

    @property
    def socket(self) -> Path:
        """Where its Envoy reaches it."""
        return self.context.layout.run / "console.sock"

    async def prepare(self) -> Launch:
        """Its settings."""
        key = self.context.secret("console-form-key")
        kept_secret(key, 64)
        settings: dict[str, object] = {
            "NAME": self.name,
            "LISTEN": self.socket,
            "GATEWAY": f"unix:{self.context.layout.run / 'gateway-people.sock'}",
            "ORIGIN": people.origin(self.context),
            "CA_FILE": self.context.history(),
            "FORM_KEY_FILE": key,
        }
        argv = (sys.executable, "-m", "console.web.main")
        return Launch(argv=argv, cwd=self.context.place(self.name), env=variables(settings), nice=NICE)

    async def ready(self) -> bool:
        """Whether it answers: without somebody vouching for a person, it refuses."""
        connector = aiohttp.UnixConnector(str(self.socket))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://console/") as answer:
            return answer.status == 401
