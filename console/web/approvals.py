"""What takes two people: who asks, what it would do, and another person's answer."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from orbital.v1 import approval_pb2 as api

from console.cli import approval, rows
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.login import form_status
from console.web.tenants import listed
from runtime.errors import Denied, Invalid, NotFound, OrbitalError, Precondition

MOST_REASON = 500
# What a page shows of what waits and of what was decided.
LISTED = 100
# What can be asked for here, by the part of the address that names its kind.
ASKED = {"tenants": "restore_tenant", "regions": "decommission_region"}


@routes.get("/approvals")
async def approvals(request: web.Request) -> web.Response:
    """What waits for a second person, what was decided, and which tenants are killed."""
    console, person = request.app[CONSOLE], request[WHO]
    waiting, method = api.ListApprovalsRequest(open_only=True, page_size=LISTED), console.gateway.approval.ListApprovals
    everything = api.ListApprovalsRequest(page_size=LISTED, page_token=request.query.get("after", ""))
    tenants, (opened, more), page = await asyncio.gather(
        listed(console, person, "tenant"),
        console.gateway.first(person, method, waiting, "approvals", LISTED),
        console.gateway.call(person, method, everything),
    )
    found = list(map(approval.row, opened))
    asked_for = {one["tenant"] for one in found}
    return console.templates.page(
        request,
        "approvals.html",
        open=found,
        more=more,
        over=[one for one in map(approval.row, page.approvals) if one["state"] != "open"],
        next=page.next_page_token,
        killed=[one for one in tenants if one["state"] == "killed" and one["name"] not in asked_for],
    )


@routes.get("/approvals/ask/{kind:tenants|regions}/{name}")
async def begin(request: web.Request) -> web.Response:
    """What it would do, and the reason to give."""
    return await _asking(request)


@routes.post("/approvals/ask/{kind:tenants|regions}/{name}")
async def ask(request: web.Request) -> web.Response:
    """Ask; another person has to approve."""
    reason = str((await request.post()).get("reason", "")).strip()
    if not 0 < len(reason) <= MOST_REASON:
        return await _asking(request, problem=f"A reason of 1 to {MOST_REASON} characters is wanted.")
    found = await _ask(request, reason, validate_only=False)
    raise web.HTTPSeeOther(f"/approvals/{found['id']}")


@routes.get("/approvals/{id}")
async def look(request: web.Request) -> web.Response:
    """One request, with what it does."""
    return await _page(request)


@routes.post("/approvals/{id}")
async def decide(request: web.Request) -> web.Response:
    """Approve, once the name is typed, or decline with a reason."""
    fields, identity = await request.post(), request.match_info["id"]
    approving = fields.get("do") == "approve"
    try:
        if approving:
            await _approve(request, str(fields.get("name", "")).strip())
        else:
            await _decline(request, str(fields.get("reason", "")))
    except (Invalid, Precondition, Denied) as error:
        return await _page(request, problem=error, status=form_status(error))
    raise web.HTTPSeeOther(f"/jobs/{identity}" if approving else f"/approvals/{identity}")


async def _approve(request: web.Request, typed: str) -> None:
    found, gateway = await _one(request), request.app[CONSOLE].gateway
    wanted = approval.name(found)
    if typed != wanted:
        raise Invalid(f"“{typed}” is not “{wanted}”. Nothing was done.")
    await gateway.call(request[WHO], gateway.approval.Approve, api.ApproveRequest(id=found["id"]))


async def _decline(request: web.Request, reason: str) -> None:
    gateway = request.app[CONSOLE].gateway
    asked = api.DeclineRequest(id=request.match_info["id"], reason=reason)
    await gateway.call(request[WHO], gateway.approval.Decline, asked)


async def _asking(request: web.Request, *, problem: str = "") -> web.Response:
    found = await _ask(request, "Only asked what it would do", validate_only=True)
    return request.app[CONSOLE].templates.page(
        request, "ask.html", status=400 if problem else 200, **_told(found), problem=problem, most=MOST_REASON
    )


async def _ask(request: web.Request, reason: str, *, validate_only: bool) -> rows.Row:
    console, match = request.app[CONSOLE], request.match_info
    action: dict[str, Any] = {ASKED[match["kind"]]: match["name"]}
    asked = api.AskApprovalRequest(**action, reason=reason, validate_only=validate_only)
    answer = await console.gateway.call(request[WHO], console.gateway.approval.AskApproval, asked)
    return approval.row(answer.approval)


async def _one(request: web.Request) -> rows.Row:
    console = request.app[CONSOLE]
    asked = api.ListApprovalsRequest(id=request.match_info["id"], page_size=1)
    answer = await console.gateway.call(request[WHO], console.gateway.approval.ListApprovals, asked)
    if not answer.approvals:
        raise NotFound("There is no such request.", reason="UNKNOWN_REQUEST")
    return approval.row(answer.approvals[0])


async def _page(request: web.Request, *, problem: OrbitalError | None = None, status: int = 200) -> web.Response:
    found, unreachable = await _one(request), []
    if found["state"] == "open":
        unreachable = await _unreachable(request, set(found["regions"]))
    return request.app[CONSOLE].templates.page(
        request,
        "approval.html",
        status=status,
        **_told(found),
        unreachable=unreachable,
        mine=found["asked_by"] == request[WHO].principal,
        late=status == 403,
        problem=problem.message if problem else "",
        most=MOST_REASON,
    )


def _told(found: rows.Row) -> dict[str, Any]:
    """A request with what it does in words."""
    name, verb = approval.name(found), approval.verb(found)
    return {"found": found, "told": approval.told(found), "name": name, "verb": verb, "act": f"{verb} {name}"}


async def _unreachable(request: web.Request, reached: set[str]) -> list[Any]:
    console = request.app[CONSOLE]
    known = map(rows.region, await console.gateway.regions(request[WHO]))
    return [one for one in known if one["name"] in reached and not one["connected"]]
