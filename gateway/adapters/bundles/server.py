"""HTTP for the policy engines: the signed bundle out (etags, long polling), decision logs and status in."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from gateway.ports.store import Denial, TaskStore
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.policy import Refusal

log = get_logger(__name__)

MEDIA = "application/vnd.openpolicyagent.bundles"
MAX_BODY = 8 * 1024 * 1024
LONGEST_POLL = 60
LOOK_SECONDS = 0.5
_WAIT = re.compile(r"wait=(\d+)")


class BundleServer:
    """Serves one bundle file; a new file is noticed by its time and size."""

    def __init__(self, bundle: Path, store: TaskStore) -> None:
        self._bundle = bundle
        self._store = store
        self._stamp: tuple[int, int] | None = None
        self._content = b""
        self._etag = ""

    def _look(self) -> None:
        try:
            status = self._bundle.stat()
        except FileNotFoundError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._content = self._bundle.read_bytes()
            self._etag = f'"{hashlib.sha256(self._content).hexdigest()}"'
            self._stamp = stamp

    async def bundle(self, request: web.Request) -> web.Response:
        """The bundle, or 304 after waiting as long as the engine asked for a newer one."""
        wait = _WAIT.search(request.headers.get("Prefer", ""))
        left = min(int(wait.group(1)), LONGEST_POLL) if wait else 0.0
        self._look()
        while left > 0 and request.headers.get("If-None-Match") == self._etag:
            await asyncio.sleep(LOOK_SECONDS)
            left -= LOOK_SECONDS
            self._look()
        headers = {"ETag": self._etag, "Content-Type": MEDIA}
        if not self._content:
            return web.Response(status=404, text="There is no bundle yet")
        if request.headers.get("If-None-Match") == self._etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._content, headers=headers)

    async def logs(self, request: web.Request) -> web.Response:
        """Keep the denials of a decision log; answered only when they are durable, so that OPA sends them again."""
        try:
            events = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return web.Response(status=400, text="A decision log is a JSON array")
        engine = request.match_info["engine"]
        denials = [item for event in events for item in denials_of(event, engine)]
        try:
            await self._store.keep_denials(denials)
        except Unavailable as error:
            return web.Response(status=503, text=error.message)
        return web.Response(status=200)

    async def status(self, request: web.Request) -> web.Response:
        """Note an engine whose bundle does not load; the old policy stays in force there."""
        report = orjson.loads(await request.read())
        for name, bundle in (report.get("bundles") or {}).items():
            if bundle.get("code"):
                log.warning(
                    "bundle refused", engine=request.match_info["engine"], bundle=name, reason=bundle.get("message", "")
                )
        return web.Response(status=200)


def denials_of(event: dict[str, Any], engine: str) -> list[Denial]:
    """The refusals in one event of a decision log; batch decisions are kept by whoever asked for them."""
    result = event.get("result")
    if not isinstance(result, dict) or result.get("allowed") is not False:
        return []
    given = event.get("input") or {}
    request = given.get("attributes", {}).get("request", {}).get("http", {})
    headers = request.get("headers") or {}
    answered = result.get("headers") or {}
    return [
        Denial(
            decision_id=str(event.get("decision_id", "")),
            policy="ingress",
            principal=principal_of(given),
            action=str(request.get("path", "")),
            refusal=Refusal(str(answered.get("x-orbital-reason", "DENIED")), str(result.get("body", ""))),
            correlation_id=str(headers.get("x-orbital-correlation-id", "")),
            engine=engine,
        )
    ]


def principal_of(given: dict[str, Any]) -> str:
    """The identity in an ext_authz input: the certificate's, or the region of the token."""
    attributes = given.get("attributes", {})
    certificate = str(attributes.get("source", {}).get("principal", ""))
    if certificate:
        return certificate
    filters = attributes.get("metadataContext", {}).get("filterMetadata", {})
    token = filters.get("envoy.filters.http.jwt_authn", {}).get("jwt_payload", {})
    return f"spiffe://orbital/region/{token['region']}" if token.get("region") else ""


@asynccontextmanager
async def serve_bundles(socket: Path, bundle: Path, store: TaskStore) -> AsyncIterator[None]:
    """Serve on a Unix socket inside the block."""
    server = BundleServer(bundle, store)
    application = web.Application(client_max_size=MAX_BODY)
    application.router.add_get("/bundles/orbital.tar.gz", server.bundle)
    application.router.add_post("/logs/{engine}", server.logs)
    application.router.add_post("/status/{engine}", server.status)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    socket.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()
