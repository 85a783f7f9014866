"""What every page has at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from console.web.api import Gateway
from console.web.render import Templates
from console.web.streams import Streams


@dataclass(frozen=True, slots=True)
class Console:
    """The gateway, the templates, what is streamed, and the authorities (PEM) that signatures of the trail lead to."""

    gateway: Gateway
    templates: Templates
    authorities: Path
    streams: Streams


CONSOLE = web.AppKey("console", Console)
routes = web.RouteTableDef()
