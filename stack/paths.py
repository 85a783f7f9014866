"""The paths by which regions reach the global side: a TCP relay that can be cut and healed, region by region.

`python -m stack.paths --routes FILE --control SOCKET --memory FILE`. One JSON line to the control socket, one back:
`{"cut": "us20"}`, `{"heal": "us20"}` or `{}`; the answer names the regions that are cut. A cut closes what is open
and stops listening, so that a new connection is refused; it survives a restart of the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.lifecycle import run
from runtime.logs import get_logger, setup_logs

log = get_logger(__name__)

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNK = 256 * 1024
CONNECT_SECONDS = 5.0
CONTROL_SECONDS = 10.0


@dataclass(frozen=True)
class Route:
    """What is heard on `listen` of the loopback goes to `target` of the loopback, for `region`."""

    region: str
    listen: int
    target: int


class Relay:
    """All the routes; `memory` remembers which regions are cut."""

    def __init__(self, routes: Iterable[Route], memory: Path) -> None:
        self._routes = tuple(routes)
        self._memory = memory
        self._servers: dict[Route, asyncio.Server] = {}
        self._open: dict[str, set[asyncio.Task[None]]] = {route.region: set() for route in self._routes}
        self.cut_regions: set[str] = set(json.loads(memory.read_text())) if memory.exists() else set()

    async def open(self) -> None:
        """Listen for every region that is not cut."""
        for region in self._open:
            if region not in self.cut_regions:
                await self._listen(region)

    async def cut(self, region: str) -> None:
        """Close the region's connections and refuse new ones."""
        self._remember(self.cut_regions | {region})
        for route in [route for route in self._servers if route.region == region]:
            self._servers.pop(route).close()
        for task in list(self._open[region]):
            task.cancel()
        log.info("path cut", region=region)

    async def heal(self, region: str) -> None:
        """Accept the region's connections again."""
        self._remember(self.cut_regions - {region})
        await self._listen(region)
        log.info("path healed", region=region)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for server in self._servers.values():
            server.close()
        tasks = [task for region in self._open.values() for task in region]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one command."""
        try:
            async with asyncio.timeout(CONTROL_SECONDS):
                answer = await self._obey(json.loads(await reader.readline() or b"{}"))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError) as error:
            log.warning("command refused", error=str(error))
        finally:
            writer.close()

    async def _obey(self, command: dict[str, str]) -> dict[str, object]:
        for verb, act in (("cut", self.cut), ("heal", self.heal)):
            region = command.get(verb)
            if region is not None:
                if region not in self._open:
                    return {"error": f'No region "{region}"; expected one of {", ".join(sorted(self._open))}'}
                await act(region)
        return {"cut": sorted(self.cut_regions)}

    async def _listen(self, region: str) -> None:
        for route in self._routes:
            if route.region == region and route not in self._servers:
                accept = self._acceptor(route)
                self._servers[route] = await asyncio.start_server(accept, "127.0.0.1", route.listen, backlog=512)

    def _acceptor(self, route: Route) -> Accept:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or route.region in self.cut_regions:
                writer.transport.abort()
                return
            self._open[route.region].add(task)
            try:
                await _carry(route.target, reader, writer)
            finally:
                self._open[route.region].discard(task)
                writer.transport.abort()

        return accept

    def _remember(self, regions: set[str]) -> None:
        self.cut_regions = regions
        temporary = self._memory.with_name(f".{self._memory.name}.new")
        temporary.write_text(json.dumps(sorted(regions)))
        temporary.rename(self._memory)


async def _carry(target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
    except (OSError, TimeoutError):
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer))
            group.create_task(_pump(far_reader, writer))
    finally:
        far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def main(routes: Iterable[Route], control: Path, memory: Path) -> None:
    """Relay until cancelled."""
    setup_logs("paths")
    relay = Relay(routes, memory)
    await relay.open()
    server = await asyncio.start_unix_server(relay.control, control)
    try:
        async with server:
            await server.serve_forever()
    finally:
        await relay.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="stack.paths")
    for option in ("--routes", "--control", "--memory"):
        parser.add_argument(option, type=Path, required=True)
    chosen = parser.parse_args()
    table = [Route(**route) for route in json.loads(chosen.routes.read_text())]
    chosen.control.unlink(missing_ok=True)
    run(lambda: main(table, chosen.control, chosen.memory))
