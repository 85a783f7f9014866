"""Change: what will change, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import Resource

from console.cli import rows
from console.cli.declaration.load import Declaration, read_documents
from console.cli.declaration.problem import Problems, Refused
from console.cli.declaration.request import in_file, to_request
from console.cli.declaration.write import write_documents
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.live import Event, send_events
from runtime.errors import Denied, Invalid, NotFound, OrbitalError, Unavailable

LISTED = 100
FILE = "declaration"
READERS = asyncio.Semaphore(2)
MOST_DIGITS = 10


@routes.get("/changes")
async def changes(request: web.Request) -> web.Response:
    """Every change, newest first."""
    console, person = request.app[CONSOLE], request[WHO]
    asked = registry.ListJobsRequest(page_size=LISTED, page_token=request.query.get("after", ""))
    answer = await console.gateway.call(person, console.gateway.registry.ListJobs, asked)
    return console.templates.page(
        request, "changes.html", jobs=[rows.job(one) for one in answer.jobs], next=answer.next_page_token
    )


@routes.get("/changes/new")
async def begin(request: web.Request) -> web.Response:
    """An empty declaration; or that of a tenant as it is, to be changed."""
    tenant = request.query.get("tenant", "")
    return _page(request, await _declared(request, tenant) if tenant else "")


async def _declared(request: web.Request, tenant: str) -> str:
    """With generations, so that what somebody else changes meanwhile is refused."""
    console, person = request.app[CONSOLE], request[WHO]
    found: list[Resource] = []
    for word in ("TENANT", "SYSTEM", "SERVICE", "LINK"):
        kind = registry.ResourceKind.Value(f"RESOURCE_KIND_{word}")
        asked = registry.ListResourcesRequest(kind=kind, tenant=tenant, page_size=5000)
        async for answer in console.gateway.pages(person, console.gateway.registry.ListResources, asked):
            found += answer.resources
    if not found:
        raise NotFound(f"There is no tenant called {tenant}.")
    return write_documents(found, fenced=True)


@routes.post("/changes/new")
async def declare(request: web.Request) -> web.Response:
    """What a declaration would change; or, once that was seen, the change itself."""
    console, person = request.app[CONSOLE], request[WHO]
    fields = await request.post()
    text, seen = str(fields.get("text", "")), str(fields.get("seen", ""))
    apply = fields.get("do") == "apply"
    try:
        declarations = await _read(text)
        asked = to_request(declarations, str(fields.get("request_id", "")) or uuid4().hex, validate_only=True)
        answer = await console.gateway.call(person, console.gateway.registry.Declare, asked)
        found = [rows.change(one) for one in answer.changes]
        if apply and seen == _mark(found):
            asked.validate_only, asked.accept_departures = False, _accepted(fields.get("accept_departures"))
            asked.reason = str(fields.get("reason", ""))
            answer = await console.gateway.call(person, console.gateway.registry.Declare, asked)
            if answer.approval_id:
                raise web.HTTPSeeOther(f"/approvals/{answer.approval_id}")
            raise web.HTTPSeeOther(f"/jobs/{answer.correlation_id}" if answer.correlation_id else "/changes")
    except Refused as refused:
        return _page(request, text, problems=[str(one) for one in refused.problems], status=400)
    except (Denied, Unavailable):
        raise
    except OrbitalError as error:
        told = in_file(error, declarations)
        problems = [str(one) for one in told.problems] if isinstance(told, Refused) else [error.message]
        return _page(request, text, problems=problems, status=400)
    return _page(request, text, diff=found, moved=apply, request_id=asked.request_id, answer=answer)


def _accepted(said: object) -> int:
    """How many departures were seen and accepted; what is no number accepts none."""
    text = str(said or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < MOST_DIGITS else 0


def _page(
    request: web.Request,
    text: str,
    *,
    problems: list[str] | None = None,
    diff: list[rows.Row] | None = None,
    moved: bool = False,
    request_id: str = "",
    answer: registry.DeclareResponse | None = None,
    status: int = 200,
) -> web.Response:
    changed = [one for one in diff or [] if one["action"] != "none"]
    return request.app[CONSOLE].templates.page(
        request,
        "change.html",
        status=status,
        text=text,
        problems=problems or [],
        diff=None if diff is None else changed,
        unchanged=len(diff or []) - len(changed),
        regions=max((one["regions"] for one in changed), default=0),
        seen=_mark(diff or []),
        moved=moved,
        request_id=request_id,
        answer=answer,
    )


def _mark(changes: list[rows.Row]) -> str:
    """What was seen of the diff: whoever applies another one is shown that first."""
    return " ".join(f"{one['resource']}@{one['from_generation']}" for one in changes if one["action"] != "none")


async def _read(text: str) -> list[Declaration]:
    """Aside, and few at a time: whoever else uses the console does not wait for a long declaration."""
    problems = Problems(FILE)
    async with READERS:
        found = await asyncio.to_thread(read_documents, text.encode(errors="replace"), problems)
    if problems.found:
        raise Refused(problems.found)
    return found


@routes.get("/jobs/{id}")
async def job(request: web.Request) -> web.Response:
    """The convergence of one change, by region."""
    console, person = request.app[CONSOLE], request[WHO]
    asked = registry.WatchJobRequest(correlation_id=request.match_info["id"])
    async for found in console.gateway.stream(person, console.gateway.registry.WatchJob, asked):
        return console.templates.page(request, "job.html", job=rows.job(found))
    raise Invalid("The gateway said nothing about this change.")


@routes.get("/live/jobs/{id}")
async def live(request: web.Request) -> web.StreamResponse:
    """The convergence as it happens."""
    return await send_events(request, request[WHO], _progress(request))


async def _progress(request: web.Request) -> AsyncIterator[Event]:
    console, person = request.app[CONSOLE], request[WHO]
    asked = registry.WatchJobRequest(correlation_id=request.match_info["id"])
    async for found in console.gateway.stream(person, console.gateway.registry.WatchJob, asked):
        yield "job", rows.job(found)
