"""Restorations: who asks for a killed tenant back, what would come back, and another person's answer."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from orbital.v1 import restore_pb2 as restore

from console.cli import rows
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.login import TOO_OLD
from console.web.tenants import listed
from runtime.errors import Denied, Invalid, NotFound, OrbitalError, Precondition

MOST_REASON = 500
LISTED = 100


@routes.get("/restorations")
async def restorations(request: web.Request) -> web.Response:
    """What waits for a second person, what was decided, and which tenants are killed."""
    console, person = request.app[CONSOLE], request[WHO]
    asked = restore.ListRestorationsRequest(page_size=LISTED)
    tenants, answer = await asyncio.gather(
        listed(console, person, "tenant"), console.gateway.call(person, console.gateway.restore.ListRestorations, asked)
    )
    found = [rows.restoration(one) for one in answer.restorations]
    waiting = {one["tenant"] for one in found if one["state"] == "open"}
    return console.templates.page(
        request,
        "restorations.html",
        open=[one for one in found if one["state"] == "open"],
        over=[one for one in found if one["state"] != "open"],
        killed=[one for one in tenants if one["state"] == "killed" and one["name"] not in waiting],
    )


@routes.get("/restorations/tenants/{tenant}")
async def begin(request: web.Request) -> web.Response:
    """What would come back, and the reason to give."""
    return await _asking(request)


@routes.post("/restorations/tenants/{tenant}")
async def ask(request: web.Request) -> web.Response:
    """Ask; another person has to approve."""
    reason = str((await request.post()).get("reason", "")).strip()
    if not 0 < len(reason) <= MOST_REASON:
        return await _asking(request, problem=f"A reason of 1 to {MOST_REASON} characters is wanted.")
    found = await _ask(request, reason, validate_only=False)
    raise web.HTTPSeeOther(f"/restorations/{found['id']}")


@routes.get("/restorations/{id}")
async def look(request: web.Request) -> web.Response:
    """One of them, with what comes back by it."""
    return await _page(request)


@routes.post("/restorations/{id}")
async def decide(request: web.Request) -> web.Response:
    """Approve, once the tenant's name is typed, or decline with a reason."""
    fields, identity = await request.post(), request.match_info["id"]
    approving = fields.get("do") == "approve"
    try:
        if approving:
            await _approve(request, str(fields.get("name", "")).strip())
        else:
            await _decline(request, str(fields.get("reason", "")))
    except (Invalid, Precondition) as error:
        return await _page(request, problem=error)
    except Denied as error:
        if error.reason != TOO_OLD:
            raise
        return await _page(request, problem=error, status=403)
    raise web.HTTPSeeOther(f"/jobs/{identity}" if approving else f"/restorations/{identity}")


async def _approve(request: web.Request, typed: str) -> None:
    found, gateway = await _one(request), request.app[CONSOLE].gateway
    if typed != found["tenant"]:
        raise Invalid(f"“{typed}” is not “{found['tenant']}”. Nothing was done.")
    asked = restore.ApproveRestorationRequest(id=found["id"])
    await gateway.call(request[WHO], gateway.restore.ApproveRestoration, asked)


async def _decline(request: web.Request, reason: str) -> None:
    gateway = request.app[CONSOLE].gateway
    asked = restore.DeclineRestorationRequest(id=request.match_info["id"], reason=reason)
    await gateway.call(request[WHO], gateway.restore.DeclineRestoration, asked)


async def _asking(request: web.Request, *, problem: str = "") -> web.Response:
    found = await _ask(request, "Only asked what would come back", validate_only=True)
    status = 400 if problem else 200
    return request.app[CONSOLE].templates.page(
        request, "restore.html", status=status, found=found, problem=problem, most=MOST_REASON
    )


async def _ask(request: web.Request, reason: str, *, validate_only: bool) -> rows.Row:
    console, tenant = request.app[CONSOLE], request.match_info["tenant"]
    asked = restore.AskRestorationRequest(tenant=tenant, reason=reason, validate_only=validate_only)
    answer = await console.gateway.call(request[WHO], console.gateway.restore.AskRestoration, asked)
    return rows.restoration(answer.restoration)


async def _one(request: web.Request) -> rows.Row:
    console = request.app[CONSOLE]
    asked = restore.ListRestorationsRequest(id=request.match_info["id"], page_size=1)
    answer = await console.gateway.call(request[WHO], console.gateway.restore.ListRestorations, asked)
    if not answer.restorations:
        raise NotFound("There is no such restoration.", reason="UNKNOWN_RESTORATION")
    return rows.restoration(answer.restorations[0])


async def _page(request: web.Request, *, problem: OrbitalError | None = None, status: int = 400) -> web.Response:
    found, unreachable = await _one(request), []
    if found["state"] == "open":
        unreachable = await _unreachable(request, set(found["regions"]))
    return request.app[CONSOLE].templates.page(
        request,
        "restoration.html",
        status=status if problem else 200,
        found=found,
        unreachable=unreachable,
        mine=found["asked_by"] == request[WHO].principal,
        late=status == 403,
        problem=problem.message if problem else "",
        most=MOST_REASON,
    )


async def _unreachable(request: web.Request, reached: set[str]) -> list[Any]:
    console = request.app[CONSOLE]
    known = map(rows.region, await console.gateway.regions(request[WHO]))
    return [one for one in known if one["name"] in reached and not one["connected"]]
