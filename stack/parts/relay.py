"""The relay between regions and the global side (see stack.paths), and the commands to it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from runtime.errors import NotFound, Unavailable
from stack.context import JWT
from stack.unit import Launch, Server

ANSWER_SECONDS = 10
MOST_ANSWER = 1024 * 1024  # characters; it names regions


def control_socket(run: Path) -> Path:
    """Where the relay takes commands."""
    return run / "paths.sock"


def command(run: Path, what: dict[str, str]) -> list[str]:
    """Tell the relay; returns the regions that are cut now. Raises Unavailable or NotFound."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(control_socket(run)))
            connection.sendall(json.dumps(what).encode() + b"\n")
            with connection.makefile() as answer:
                said = json.loads(answer.readline(MOST_ANSWER) or "{}")
    except OSError as error:
        raise Unavailable(f"The paths of this stack do not answer ({error.strerror or error})") from error
    if "error" in said:
        raise NotFound(said["error"], reason="UNKNOWN_REGION", field="region")
    return list(said["cut"])


class RegionPaths(Server):
    """Each region's ways to the gateway and to the broker, and a JWT region's way to the token issuer."""

    name = "paths"

    async def prepare(self) -> Launch:
        """The table of routes."""
        place = self.context.place("paths")
        (place / "routes.json").write_text(json.dumps(self._routes()))
        arguments = ("--routes", str(place / "routes.json"), "--control", str(control_socket(self.context.layout.run)))
        argv = (sys.executable, "-m", "stack.paths", *arguments, "--memory", str(place / "cut.json"))
        return Launch(argv=argv, cwd=place)

    async def ready(self) -> bool:
        """Whether it answers commands."""
        return command(self.context.layout.run, {}) is not None

    def _routes(self) -> list[dict[str, object]]:
        ports, routes = self.context.ports, []
        for region in self.context.regions:
            target = "gateway-jwt" if region.auth == JWT else "gateway-mtls"
            listen = ports[f"paths-{region.name}-gateway"]
            routes.append({"region": region.name, "listen": listen, "target": ports[target]})
            for path, target in (("amqp", "amqps"), ("mqtt", "mqtt")):
                listen = ports[f"paths-{region.name}-{path}"]
                routes.append({"region": region.name, "listen": listen, "target": ports[target], "path": path})
            if region.auth == JWT:
                listen = ports[f"paths-{region.name}-ias"]
                routes.append({"region": region.name, "listen": listen, "target": ports["openbao-global"]})
        return routes
