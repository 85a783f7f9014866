"""The paths by which regions reach the global side: a TCP relay that can be cut and healed, region by region.

`python -m stack.paths --routes FILE --control SOCKET --memory FILE`. One JSON line to the control socket, one back:
`{"cut": "us20"}`, `{"heal": "us20"}` or `{}`, the first two also with `"path": "gateway"`, `"amqp"` or `"mqtt"` for one
of its ways alone; the answer names what is cut, a single way as `us20/amqp`. A cut closes what is open and stops
listening, so that a new connection is refused; it survives a restart of the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.files import read_text
from runtime.lifecycle import run
from runtime.logs import get_logger, setup_logs

log = get_logger(__name__)

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNK = 256 * 1024
CONNECT_SECONDS = 5.0
CONTROL_SECONDS = 10.0


@dataclass(frozen=True)
class Route:
    """What is heard on `listen` of the loopback goes to `target` of the loopback, for `region` on its way `path`."""

    region: str
    listen: int
    target: int
    path: str = "gateway"

    @property
    def names(self) -> set[str]:
        """What a cut may call it."""
        return {self.region, f"{self.region}/{self.path}"}


class Relay:
    """All the routes; `memory` remembers what is cut: regions, and single ways of them."""

    def __init__(self, routes: Iterable[Route], memory: Path) -> None:
        self._routes = tuple(routes)
        self._memory = memory
        self._servers: dict[Route, asyncio.Server] = {}
        self._open: dict[Route, set[asyncio.Task[None]]] = {route: set() for route in self._routes}
        self._names = {name for route in self._routes for name in route.names}
        self.cuts: set[str] = set(json.loads(read_text(memory))) if memory.exists() else set()

    async def open(self) -> None:
        """Listen on every way that is not cut."""
        for route in self._routes:
            if not route.names & self.cuts and route not in self._servers:
                accept = self._acceptor(route)
                self._servers[route] = await asyncio.start_server(accept, "127.0.0.1", route.listen, backlog=512)

    async def cut(self, name: str) -> None:
        """Close the connections of a region, or of one of its ways, and refuse new ones."""
        self._remember(self.cuts | {name})
        for route in [route for route in self._servers if name in route.names]:
            self._servers.pop(route).close()
            for task in list(self._open[route]):
                task.cancel()
        log.info("path cut", path=name)

    async def heal(self, name: str) -> None:
        """Accept the connections of a region again, on all of its ways, or on one."""
        self._remember({each for each in self.cuts if each != name and not each.startswith(f"{name}/")})
        await self.open()
        log.info("path healed", path=name)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for server in self._servers.values():
            server.close()
        tasks = [task for route in self._open.values() for task in route]
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
                name = f"{region}/{command['path']}" if command.get("path") else region
                if name not in self._names:
                    return {"error": f'No way "{name}"; expected one of {", ".join(sorted(self._names))}'}
                await act(name)
        return {"cut": sorted(self.cuts)}

    def _acceptor(self, route: Route) -> Accept:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or route.names & self.cuts:
                writer.transport.abort()
                return
            self._open[route].add(task)
            try:
                await _carry(route.target, reader, writer)
            except asyncio.CancelledError:
                # By a cut or at the end; nobody waits for it, and asyncio would print a traceback.
                return
            finally:
                self._open[route].discard(task)
                writer.transport.abort()

        return accept

    def _remember(self, cuts: set[str]) -> None:
        self.cuts = cuts
        temporary = self._memory.with_name(f".{self._memory.name}.new")
        temporary.write_text(json.dumps(sorted(cuts)))
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
    table = [Route(**route) for route in json.loads(read_text(chosen.routes))]
    chosen.control.unlink(missing_ok=True)
    run(lambda: main(table, chosen.control, chosen.memory))
