"""Tenants: who there is, and what of theirs is placed where."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from orbital.v1 import registry_pb2 as registry

from console.cli import rows
from console.web.console import CONSOLE, Console, routes
from console.web.guard import WHO
from console.web.person import Person

LISTED = 500
DRIFTING = 200


async def listed(console: Console, person: Person, word: str, tenant: str = "") -> list[rows.Row]:
    """Every resource of one kind, of one tenant or of all."""
    request = registry.ListResourcesRequest(
        kind=registry.ResourceKind.Value(f"RESOURCE_KIND_{word.upper()}"), tenant=tenant, page_size=5000
    )
    found: list[rows.Row] = []
    async for answer in console.gateway.pages(person, console.gateway.registry.ListResources, request):
        found += map(getattr(rows, word), answer.resources)
    return found


@routes.get("/tenants")
async def tenants(request: web.Request) -> web.Response:
    """Every tenant that matches."""
    console, person, words = request.app[CONSOLE], request[WHO], request.query.get("q", "").strip()
    found = await listed(console, person, "tenant")
    wanted = words.casefold().split()
    chosen = [one for one in found if all(word in f"{one['name']} {one['display_name']}".casefold() for word in wanted)]
    return console.templates.page(
        request, "tenants.html", tenants=chosen[:LISTED], chosen=len(chosen), total=len(found), q=words
    )


@routes.get("/tenants/{name}")
async def tenant(request: web.Request) -> web.Response:
    """One tenant: its Systems, Services and Links, and what of them drifts."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["name"]
    api, call = console.gateway.registry, console.gateway.call
    behind = registry.PlacementFilter(tenant=name, drifting_only=True)
    asked = registry.ListPlacementsRequest(filter=behind, page_size=DRIFTING)
    found, systems, services, links, (placements, more) = await asyncio.gather(
        call(person, api.GetResource, registry.GetResourceRequest(name=f"tenants/{name}")),
        listed(console, person, "system", name),
        listed(console, person, "service", name),
        listed(console, person, "link", name),
        console.gateway.first(person, api.ListPlacements, asked, "placements", DRIFTING),
    )
    return console.templates.page(
        request,
        "tenant.html",
        tenant=rows.tenant(found),
        systems=[_with_children(one, services, links) for one in systems],
        placements=[rows.placement(one) for one in placements],
        more=more,
        drifting=sorted({one.region for one in placements}),
    )


def _with_children(system: rows.Row, services: list[rows.Row], links: list[rows.Row]) -> dict[str, Any]:
    mine = [one for one in services if one["system"] == system["name"]]
    link = next((one for one in links if one["system"] == system["name"]), None)
    return {**system, "services": mine, "link": link}
