"""What every page has at hand."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from console.web.api import Gateway
from console.web.render import Templates


@dataclass(frozen=True, slots=True)
class Console:
    """The gateway and the templates."""

    gateway: Gateway
    templates: Templates


CONSOLE = web.AppKey("console", Console)
routes = web.RouteTableDef()
