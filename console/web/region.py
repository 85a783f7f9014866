"""Region: what is wrong here, since when, and what happens next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.approval_pb2 import ApprovalState, ListApprovalsRequest
from orbital.v1.flag_pb2 import Flag

from console.cli import approval, rows
from console.cli.moments import at
from console.web import status
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.live import Event, send_events
from console.web.timeline import SPANS, ticks, timeline
from runtime.errors import NotFound

LISTED = 200
TASKS = 50
MOST_CHANGES = 2000


@routes.get("/regions/{name}")
async def region(request: web.Request) -> web.Response:
    """One region: its flags with their evidence, what drifts, how its parts were, what it did last."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["name"]
    api, first = console.gateway.registry, console.gateway.first
    behind = registry.PlacementFilter(region=name, drifting_only=True)
    drifting = registry.ListPlacementsRequest(filter=behind, page_size=LISTED)
    span = request.query.get("span", "")
    span, now = span if span in SPANS else next(iter(SPANS)), time.time()
    history = registry.ListFlagChangesRequest(region=name, page_size=MOST_CHANGES)
    history.since.FromNanoseconds(int((now - SPANS[span]) * 1e9))
    everything, flags, (changes, cut), (placements, more), (tasks, _), edges = await asyncio.gather(
        console.gateway.regions(person),
        console.gateway.flags(person, name),
        first(person, api.ListFlagChanges, history, "changes", MOST_CHANGES),
        first(person, api.ListPlacements, drifting, "placements", LISTED),
        first(person, api.ListTasks, registry.ListTasksRequest(region=name, page_size=TASKS), "tasks", TASKS),
        console.gateway.edges(person, name),
    )
    found = next((one for one in everything if one.resource.name == f"regions/{name}"), None)
    if found is None:
        return await _gone(request, name)
    raised = [rows.flag(one) for one in flags]
    done = [rows.task(one) for one in tasks]
    return console.templates.page(
        request,
        "region.html",
        spans=list(SPANS),
        span=span,
        timeline=timeline([rows.flag_change(one) for one in changes], raised, now - SPANS[span], now),
        ticks=ticks(now - SPANS[span], now),
        cut=cut,
        region=status.told(rows.region(found)),
        versions=dict(sorted(found.versions.items())),
        flags=raised,
        placements=[rows.placement(one) for one in placements],
        more=more,
        tasks=sorted(done, key=lambda task: (task["updated_at"] or "", task["sequence"]), reverse=True),
        edges=[rows.edge(one) for one in edges],
    )


async def _gone(request: web.Request, name: str) -> web.Response:
    """What is known of a region that was decommissioned; raises NotFound where there was none."""
    console, person = request.app[CONSOLE], request[WHO]
    method = console.gateway.approval.ListApprovals
    asked = ListApprovalsRequest(kind="decommission", subject=f"regions/{name}")
    listed = await console.gateway.every(person, method, asked, "approvals")
    taken_out = next((one.id for one in listed if one.state == ApprovalState.APPROVAL_STATE_APPROVED), "")
    if not taken_out:
        raise NotFound(f"There is no region called {name}.")
    answer = await console.gateway.call(person, method, ListApprovalsRequest(id=taken_out, page_size=1))
    found = next((approval.row(one) for one in answer.approvals), None)
    if found is None:
        raise NotFound(f"What took {name} out is not known any more.")
    return console.templates.page(request, "gone.html", found=found, now=at(time.time()))


@routes.get("/live/regions/{name}")
async def live(request: web.Request) -> web.StreamResponse:
    """Says whenever the page would be another one."""
    return await send_events(request, request[WHO], _changes(request))


async def _changes(request: web.Request) -> AsyncIterator[Event]:
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["name"]
    api = console.gateway.registry
    last: list[tuple[str, str, int]] | None = None
    async for answer in console.gateway.stream(person, api.WatchRegions, registry.WatchRegionsRequest(region=name)):
        flags = _raised(await console.gateway.flags(person, name))
        if answer.regions or flags != last:
            last = flags
            yield "region", {}
        else:
            yield "beat", {}


def _raised(flags: Sequence[Flag]) -> list[tuple[str, str, int]]:
    """What makes flags other ones; their evidence is measured anew all the time."""
    return [(one.component, one.reason, one.status) for one in flags]
