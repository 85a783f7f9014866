"""HTTP for the policy engines: the signed bundle out (etags, long polling), decision logs and status in."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
from aiohttp import web

from gateway.adapters.bundles.events import decided, denials_of, engine_status, instance_of
from gateway.ports.engines import EngineStore
from gateway.ports.security import SecurityEvent
from gateway.ports.store import TaskStore
from runtime.errors import Denied, Invalid, OrbitalError, Unavailable
from runtime.files import read_bytes, read_stream
from runtime.group_commit import store_each
from runtime.lenient_json import read_json
from runtime.logs import get_logger

log = get_logger(__name__)

MEDIA = "application/vnd.openpolicyagent.bundles"
# What the gateway's own engines are called.
OWN = "opa-gateway-"
MAX_BODY = 8 * 1024 * 1024  # a decision log, taken out of its compression
LONGEST_POLL = 60  # seconds; shorter than the sidecar's time-out of the route
LOOK_SECONDS = 0.5
Alarm = Callable[[SecurityEvent], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_WAIT = re.compile(r"wait=(\d{1,9})\b", re.ASCII)
# What an engine sends again is what was not stored for a while, and nothing else.
STATUS = {Denied: 403, Unavailable: 503}


class BundleServer:
    """Serves one bundle file; a new file is noticed by its time and size."""

    def __init__(
        self,
        bundle: Path,
        store: TaskStore,
        engines: EngineStore,
        admit: Callable[[Mapping[str, str]], None],
        alarm: Alarm,
    ) -> None:
        self._bundle = bundle
        self._store = store
        self._engines = engines
        self._admit = admit
        self._alarm = alarm
        self._revision = ""
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
            self._content = read_bytes(self._bundle)
            self._etag = f'"{hashlib.sha256(self._content).hexdigest()}"'
            self._revision = _revision(self._content)
            self._stamp = stamp

    def revision(self) -> str:
        """The revision of the bundle that is served; empty when there is none."""
        self._look()
        return self._revision

    @web.middleware
    async def refuse(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error of ours as a status, with the reason; 403 for whoever may not call at all."""
        try:
            self._admit(request.headers)
            return await handler(request)
        except OrbitalError as error:
            status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)
            return web.Response(status=status, text=error.message, headers={"x-orbital-reason": error.reason})

    async def bundle(self, request: web.Request) -> web.Response:
        """The bundle, or 304 after waiting as long as the engine asked for a newer one."""
        wait = _WAIT.search(request.headers.get("Prefer", ""))
        left = min(int(wait.group(1)), LONGEST_POLL) if wait else 0.0
        self._look()
        while left > 0 and request.headers.get("If-None-Match") == self._etag:
            await asyncio.sleep(LOOK_SECONDS)
            left -= LOOK_SECONDS
            self._look()
            # Whoever waits may be revoked meanwhile.
            self._admit(request.headers)
        headers = {"ETag": self._etag, "Content-Type": MEDIA}
        if not self._content:
            return web.Response(status=404, text="There is no bundle yet")
        if request.headers.get("If-None-Match") == self._etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._content, headers=headers)

    async def logs(self, request: web.Request) -> web.Response:
        """Keep a decision log; answered only when it is durable, so that OPA sends it again."""
        said, engine = read_json(await request.read()), request.match_info["engine"]
        if not said.is_array:
            raise Invalid("A decision log is a JSON array", reason="MALFORMED")
        events = [event for event in said.items() if event.is_object]
        denials = [item for event in events for item in denials_of(event, engine)]
        # All events of a log are of one running engine.
        instance = instance_of(events[0]) if events else ""
        unfit = await store_each(
            partial(self._engines.keep_decisions, engine, instance), [decided(event) for event in events]
        )
        unfit |= await store_each(self._store.keep_denials, denials)
        if unfit:
            # Whoever made the call chose its text; the engine must not send it for ever.
            log.error("decisions_unfit", engine=engine, count=len(unfit), reason=next(iter(unfit.values())).message)
        return web.Response(status=200)

    async def status(self, request: web.Request) -> web.Response:
        """Keep what an engine says of itself; where a bundle does not load, the old policy stays in force."""
        report, engine = read_json(await request.read()), request.match_info["engine"]
        status = engine_status(engine, report)
        lost = await self._engines.keep_engine(status)
        if lost:
            await self._alarm(_lost(engine, lost))
        if status.error:
            log.warning("bundle_refused", engine=engine, reason=status.error)
        return web.Response(status=200)


def _revision(packed: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        manifest = archive.extractfile("/.manifest")
        return str(orjson.loads(read_stream(manifest, "/.manifest")).get("revision", "")) if manifest else ""


def _lost(engine: str, number: int) -> SecurityEvent:
    """Decisions that never arrived: somebody may have been refused, or let in, without a trace."""
    region = "" if engine.startswith(OWN) else engine.removeprefix("opa-").rpartition("-")[0]
    return SecurityEvent(region, "decisions", "DECISIONS_LOST", f"{number} decisions of {engine} did not arrive")


@asynccontextmanager
async def serve_bundles(
    socket: Path,
    bundle: Path,
    store: TaskStore,
    engines: EngineStore,
    admit: Callable[[Mapping[str, str]], None],
    alarm: Alarm,
) -> AsyncIterator[BundleServer]:
    """Serve on a Unix socket inside the block."""
    server = BundleServer(bundle, store, engines, admit, alarm)
    application = web.Application(client_max_size=MAX_BODY, middlewares=[server.refuse])
    application.router.add_get("/bundles/orbital.tar.gz", server.bundle)
    application.router.add_post("/logs/{engine}", server.logs)
    application.router.add_post("/status/{engine}", server.status)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    socket.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield server
    finally:
        await runner.cleanup()
