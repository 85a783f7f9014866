"""Policy: who runs which revision, and why somebody was refused."""

from __future__ import annotations

import asyncio

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.policy_pb2 import ListDecisionsRequest, ListEnginesRequest, ListEnginesResponse

from console.cli import judged
from console.cli.moments import iso
from console.web.api import Gateway
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from console.web.person import Person
from runtime.errors import NotFound

DENIALS = 200
EVENTS = 50
LOOKED_THROUGH = 10_000  # rows, for the one of a decision


@routes.get("/policy")
async def policy(request: web.Request) -> web.Response:
    """Revisions across the fleet; denials, newest first."""
    console, person = request.app[CONSOLE], request[WHO]
    call, gateway = console.gateway.call, console.gateway
    after, events_after = request.query.get("after", ""), request.query.get("events", "")
    asked = registry.ListDenialsRequest(page_size=DENIALS, page_token=after)
    wanted = registry.ListSecurityEventsRequest(page_size=EVENTS, page_token=events_after)
    pages, denials, events = await asyncio.gather(
        _engines(gateway, person),
        call(person, gateway.registry.ListDenials, asked),
        call(person, gateway.registry.ListSecurityEvents, wanted),
    )
    engines, served = [one for page in pages for one in page.engines], pages[0].served_revision
    by_revision: dict[str, list[str]] = {}
    for one in engines:
        by_revision.setdefault(one.revision or "none", []).append(one.name)
    away = judged.silent(engines)
    told = [
        {
            "name": one.name, "revision": one.revision, "since": iso(one.since), "heard": iso(one.heard_time),
            "error": one.error or ("Not heard of for minutes." if one.name in away else ""),
            "made": one.made, "lost": one.lost,
        }
        for one in engines
    ]  # fmt: skip
    return console.templates.page(
        request,
        "policy.html",
        served=served,
        revisions=sorted(by_revision.items(), key=lambda pair: (pair[0] != served, -len(pair[1]))),
        engines=len(told),
        odd=[one for one in told if one["error"] or one["lost"] or one["revision"] != served],
        denials=[judged.denial(one) for one in denials.denials],
        events=[judged.security_event(one) for one in events.events],
        next=denials.next_page_token,
        more_events=events.next_page_token,
    )


async def _engines(gateway: Gateway, person: Person) -> list[ListEnginesResponse]:
    """Every page of the engines; there is one at least."""
    return [page async for page in gateway.pages(person, gateway.policy.ListEngines, ListEnginesRequest())]


@routes.get("/policy/decisions/{id}")
async def decision(request: web.Request) -> web.Response:
    """One refusal, explained: who, what, the sentence, the rule, what to do."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    gateway = console.gateway
    asked, wanted = registry.ListDenialsRequest(page_size=1000), ListDecisionsRequest(page_size=1000)
    kept, more = await gateway.first(person, gateway.registry.ListDenials, asked, "denials", LOOKED_THROUGH)
    denials = [judged.denial(one) for one in kept if one.decision_id == name]
    if not denials:
        among = f" among the newest {LOOKED_THROUGH:,}" if more else ""
        raise NotFound(f"No denial is kept of a decision {name}{among}.")
    listed, more = await gateway.first(person, gateway.policy.ListDecisions, wanted, "decisions", LOOKED_THROUGH)
    decided = next((judged.decision(one) for one in listed if one.decision_id == name), None)
    return console.templates.page(
        request, "decision.html", denials=denials, decision=decided, looked_through=LOOKED_THROUGH if more else 0
    )
