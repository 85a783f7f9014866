"""HTTP for the region's edges: their signed bundle out (etags, long polling), their status in."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from orbital.v1 import edge_pb2

from region.domain.edge import EdgeReport
from region.ports.edge import Bundle
from runtime.errors import Invalid
from runtime.lenient_json import Json, read_json

MEDIA = "application/vnd.openpolicyagent.bundles"
BUNDLE = "edge"
MAX_BODY = 1024 * 1024  # an engine's status has 60 KiB
MOST_REVISION = 256  # bytes; a revision is a digest
MOST_REFUSAL = 500  # bytes of what an engine says of a bundle that it does not load
LONGEST_POLL = 60.0  # seconds; shorter than the sidecar's time-out of the route
# An engine that refused a bundle asks for it again at once, and without the etag.
AGAIN = 1.0
_WAIT = re.compile(r"wait=(\d{1,9})\b", re.ASCII)


class Bundles(Protocol):
    """Where bundles come from."""

    async def newer(self, etag: str, seconds: float) -> Bundle | None:
        """The bundle, once it is another than that of `etag` or the time is over; None before the first."""


class Edges(Protocol):
    """Who is told of edges."""

    def hear(self, heard: EdgeReport) -> None:
        """An edge said how it stands."""

    def edges(self) -> list[edge_pb2.Edge]:
        """Every edge as it stands now."""


class EdgeServer:
    """The handlers. The caller is who the region's Envoy says it is, and has been authorised by it."""

    def __init__(self, bundles: Bundles, edges: Edges, now: Callable[[], float]) -> None:
        self._bundles = bundles
        self._edges = edges
        self._now = now
        self._given: dict[str, tuple[str, float]] = {}

    async def bundle(self, request: web.Request) -> web.Response:
        """The bundle, or 304 after waiting as long as the engine asked for a newer one."""
        wait = _WAIT.search(request.headers.get("Prefer", ""))
        left = min(float(wait.group(1)), LONGEST_POLL) if wait else 0.0
        etag, caller = request.headers.get("If-None-Match", ""), request.headers.get("x-orbital-principal", "")
        refused, at = self._given.get(caller, ("", 0.0))
        if not etag and self._now() - at < AGAIN:
            await self._bundles.newer(refused, AGAIN)
        found = await self._bundles.newer(etag, left)
        if found is None:
            return web.Response(status=404, text="There is no bundle yet")
        headers = {"ETag": found.etag, "Content-Type": MEDIA}
        if found.etag == etag:
            return web.Response(status=304, headers=headers)
        self._given[caller] = (found.etag, self._now())
        return web.Response(body=found.content, headers=headers)

    async def status(self, request: web.Request) -> web.Response:
        """Take an engine's word on the bundle that it has in force."""
        try:
            heard = read_status(request.match_info["edge"], read_json(await request.read()), self._now())
        except Invalid:
            return web.Response(status=400, text="This is no status of a policy engine")
        if heard is not None:
            self._edges.hear(heard)
        return web.Response(status=200)

    async def edges(self, _: web.Request) -> web.Response:
        """Every edge as it stands, for the region's own checker; no Envoy leads here."""
        found = [MessageToDict(each, preserving_proto_field_name=True) for each in self._edges.edges()]
        return web.json_response({"edges": found})


def read_status(name: str, report: Json, now: float) -> EdgeReport | None:
    """What OPA's status says of the edge's bundle; None while it says nothing of one.

    Raises Invalid where what it says cannot be of the one bundle that an edge has.
    """
    found = report.at("bundles", BUNDLE)
    if found.value is None:
        return None
    revision, activated = found.at("active_revision").text(MOST_REVISION), found.at("last_successful_activation")
    since = activated.moment()
    if not found.is_object or (activated.value and since is None):
        raise Invalid("This is no status of a bundle", reason="MALFORMED")
    said = found.at("message").text(MOST_REFUSAL)
    # That the region could not be asked is no judgement on what it serves.
    away = found.at("http_code").value is not None or "request failed" in said
    refusal = said or found.at("code").text(MOST_REFUSAL) or "refused" if found.at("code").value and not away else ""
    # Nothing is in force since later than now, or since before there was any policy.
    in_force = min(max(since.timestamp(), 0.0), now) if revision and since else 0.0
    return EdgeReport(name, revision, in_force, now, refusal)


@asynccontextmanager
async def serve_edges(socket: Path, server: EdgeServer) -> AsyncIterator[None]:
    """Serve on a Unix socket inside the block."""
    application = web.Application(client_max_size=MAX_BODY)
    application.router.add_get("/edge/bundle.tar.gz", server.bundle)
    application.router.add_post("/edge/status/{edge}", server.status)
    application.router.add_get("/edges", server.edges)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    with contextlib.suppress(FileNotFoundError):
        await asyncio.to_thread(socket.unlink)
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()
