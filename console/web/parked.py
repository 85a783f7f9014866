"""Parked: tasks that keep failing, sent again or cancelled."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from aiohttp import web
from orbital.v1 import parked_pb2 as pb

from console.cli import rows
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.login import form_status
from runtime.errors import Denied, Invalid, NotFound, OrbitalError, Precondition

LISTED = 100
MOST_REASON = 500


@routes.get("/parked")
async def parked(request: web.Request) -> web.Response:
    """Every parked task, newest first; of one region or tenant where that is asked."""
    console, person, query = request.app[CONSOLE], request[WHO], request.query
    asked = pb.ListParkedTasksRequest(
        region=query.get("region", ""),
        tenant=query.get("tenant", ""),
        page_size=LISTED,
        page_token=query.get("after", ""),
    )
    answer = await console.gateway.call(person, console.gateway.tasks.ListParkedTasks, asked)
    return console.templates.page(
        request,
        "parked.html",
        tasks=[rows.task(one) for one in answer.tasks],
        next=answer.next_page_token,
        region=asked.region,
        tenant=asked.tenant,
    )


@routes.get("/parked/{id}")
async def look(request: web.Request) -> web.Response:
    """One parked task, and what can be done about it."""
    return await _page(request)


@routes.post("/parked/{id}")
async def decide(request: web.Request) -> web.Response:
    """Send it again; or cancel it, once `cancel` is typed."""
    fields, identity = await request.post(), request.match_info["id"]
    console, reason = request.app[CONSOLE], str(fields.get("reason", ""))
    service = console.gateway.tasks
    chosen: dict[str, Any] = {"ids": [identity], "reason": reason, "request_id": uuid4().hex}
    try:
        if fields.get("do") == "retry":
            await console.gateway.call(request[WHO], service.RetryTasks, pb.RetryTasksRequest(**chosen))
        else:
            _check_typed(str(fields.get("name", "")).strip())
            await console.gateway.call(request[WHO], service.CancelTasks, pb.CancelTasksRequest(**chosen))
    except (Invalid, Precondition, Denied) as error:
        return await _page(request, problem=error, status=form_status(error))
    raise web.HTTPSeeOther("/parked")


def _check_typed(typed: str) -> None:
    if typed != "cancel":
        raise Invalid(f"“{typed}” is not “cancel”. Nothing was done.")


async def _page(request: web.Request, *, problem: OrbitalError | None = None, status: int = 200) -> web.Response:
    console, person, identity = request.app[CONSOLE], request[WHO], request.match_info["id"]
    asked = pb.ListParkedTasksRequest(id=identity, page_size=1)
    answer = await console.gateway.call(person, console.gateway.tasks.ListParkedTasks, asked)
    if not answer.tasks:
        raise NotFound("This task is not parked.", reason="NOT_PARKED")
    return console.templates.page(
        request,
        "parked_task.html",
        status=status,
        task=rows.task(answer.tasks[0]),
        late=status == 403,
        problem=problem.message if problem else "",
        most=MOST_REASON,
    )
