"""Fleet: which regions need somebody now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from orbital.v1 import registry_pb2 as registry

from console.cli import rows
from console.web import status
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.live import Event, send_events

# What a table shows at once; everything else is a click or a word of search away.
LISTED = 100
COLUMNS = ("name", "area", "status", "status_reason", "convergence", "worst", "drifting", "behind_since")


@routes.get("/")
async def home(_request: web.Request) -> web.Response:
    """The fleet is where everybody begins."""
    raise web.HTTPFound("/fleet")


@routes.get("/fleet")
async def fleet(request: web.Request) -> web.Response:
    """Every region as a cell, the worst ones as a table."""
    console, person = request.app[CONSOLE], request[WHO]
    asked = registry.ListFlagsRequest(control_plane=True)
    listed, own = await asyncio.gather(
        console.gateway.regions(person),
        console.gateway.every(person, console.gateway.registry.ListFlags, asked, "flags"),
    )
    regions = [status.told(rows.region(one)) for one in listed]
    words, area, kind = (request.query.get(name, "").strip() for name in ("q", "area", "status"))
    chosen = status.matching(regions, words, area, kind)
    troubled = status.worst_first(chosen)
    return console.templates.page(
        request,
        "fleet.html",
        own=[rows.flag(one) for one in own],
        counts=status.counts(regions),
        total=len(regions),
        areas=status.by_area(chosen),
        loud=status.loud(regions),
        every_area=sorted({region["area"] for region in regions}),
        troubled=troubled[:LISTED],
        hidden=max(0, len(troubled) - LISTED),
        shown=len(chosen),
        query={"q": words, "area": area, "status": kind},
        kinds=status.BADNESS,
    )


@routes.get("/live/fleet")
async def live(request: web.Request) -> web.StreamResponse:
    """All regions as columns, then those that change."""
    return await send_events(request, request[WHO], _changes(request))


async def _changes(request: web.Request) -> AsyncIterator[Event]:
    console, person = request.app[CONSOLE], request[WHO]
    known: dict[str, dict[str, Any]] = {}
    answers = console.gateway.stream(person, console.gateway.registry.WatchRegions, registry.WatchRegionsRequest())
    async for answer in answers:
        if not answer.regions:
            yield "beat", {}
            continue
        changed = [status.told(rows.region(one)) for one in answer.regions]
        known |= {region["name"]: region for region in changed}
        columns = {column: [region[column] for region in changed] for column in COLUMNS}
        columns |= {
            "lanes": ["/".join(map(str, region["waiting"])) for region in changed],
            "policy": [" ".join(region["policy_revisions"]) for region in changed],
            "heard": [region["last_contact_at"] for region in changed],
        }
        totals = {"counts": status.counts(known.values()), "loud": status.loud(known.values()), "total": len(known)}
        yield "regions", {"columns": columns, **totals}
