"""Search: from any page to any region, tenant, change or decision."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote

from aiohttp import web
from orbital.v1 import registry_pb2 as registry

from console.cli import rows
from console.web import status
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.tenants import listed

CORRELATION = re.compile(r"[0-9a-f]{32}")
DECISION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHOWN = 50
LOOKED_THROUGH = 500


@routes.get("/search")
async def search(request: web.Request) -> web.Response:
    """Straight there when only one thing can be meant; otherwise whatever has all of the words."""
    console, person, words = request.app[CONSOLE], request[WHO], request.query.get("q", "").strip()
    bare = words.casefold()
    if CORRELATION.fullmatch(bare):
        raise web.HTTPSeeOther(f"/traces/{bare}")
    if DECISION.fullmatch(bare):
        raise web.HTTPSeeOther(f"/policy/decisions/{bare}")
    api = console.gateway.registry
    everything, tenants, (jobs, more) = await asyncio.gather(
        console.gateway.regions(person),
        listed(console, person, "tenant"),
        console.gateway.first(
            person, api.ListJobs, registry.ListJobsRequest(page_size=LOOKED_THROUGH), "jobs", LOOKED_THROUGH
        ),
    )
    regions = [status.told(rows.region(one)) for one in everything]
    for found, page in ((regions, "regions"), (tenants, "tenants")):
        if any(one["name"] == words for one in found):
            raise web.HTTPSeeOther(f"/{page}/{quote(words, safe='')}")
    wanted = bare.split()
    return console.templates.page(
        request,
        "search.html",
        q=words,
        regions=status.matching(regions, words, "", "")[:SHOWN],
        tenants=[one for one in tenants if _has(wanted, one["name"], one["display_name"])][:SHOWN],
        looked_through=LOOKED_THROUGH if more else 0,
        jobs=[
            job for one in jobs if _has(wanted, (job := rows.job(one))["detail"], job["correlation_id"], job["actor"])
        ][:SHOWN],
    )


def _has(words: list[str], *texts: str) -> bool:
    said = " ".join(texts).casefold()
    return bool(words) and all(word in said for word in words)
