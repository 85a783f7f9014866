"""What every page has at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from console.web.api import Gateway
from console.web.render import Templates


@dataclass(frozen=True, slots=True)
class Console:
    """The gateway, the templates, and the file of authorities (PEM) that signatures of the audit trail lead to."""

    gateway: Gateway
    templates: Templates
    authorities: Path


CONSOLE = web.AppKey("console", Console)
routes = web.RouteTableDef()
