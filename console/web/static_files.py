"""Assets, by names that say what they hold."""

from __future__ import annotations

from aiohttp import web

from console.web.console import routes
from console.web.render import STATIC, release
from runtime.errors import NotFound
from runtime.files import read_bytes

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@routes.get("/static/{digest}/{name}")
async def static(request: web.Request) -> web.Response:
    """A file of static/, for good; nothing else is reachable by this path."""
    name = request.match_info["name"]
    known = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
    if name not in known or request.match_info["digest"] != release():
        raise NotFound("There is no such file.")
    response = web.Response(body=read_bytes(known[name]), content_type=TYPES[known[name].suffix], charset="utf-8")
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.enable_compression()
    return response
