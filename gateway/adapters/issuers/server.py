"""HTTP for Envoy alone, on a Unix socket: the keys of each issuer out, and word of a key that is not among them in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiohttp import web

from gateway.ports.keysets import KnownKeys

MEDIA = "application/jwk-set+json"
MAX_BODY = 8 * 1024 * 1024  # what the sidecar tells of unknown keys in a tenth of a second


class KeyServer:
    """Serves what is known; what is not known yet is 503, so that Envoy asks again soon."""

    def __init__(self, sets: Mapping[str, KnownKeys]) -> None:
        self._sets = sets

    async def keys(self, request: web.Request) -> web.Response:
        """The set of one issuer."""
        known = self._sets.get(request.match_info["name"])
        if known is None:
            return web.Response(status=404, text="There is no such issuer")
        if known.keys is None:
            return web.Response(status=503, text="Its keys were never fetched yet")
        return web.Response(body=orjson.dumps(known.keys), content_type=MEDIA)

    async def unknown(self, request: web.Request) -> web.Response:
        """Envoy refused tokens for their key ID; it does not say whose they pretend to be."""
        await request.read()
        for known in self._sets.values():
            known.unknown()
        return web.Response(status=200)


@asynccontextmanager
async def serve_keys(socket: Path, sets: Mapping[str, KnownKeys]) -> AsyncIterator[None]:
    """Serve inside the block."""
    server = KeyServer(sets)
    application = web.Application(client_max_size=MAX_BODY)
    application.router.add_get("/keys/{name}", server.keys)
    application.router.add_post("/unknown-key", server.unknown)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    socket.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()
