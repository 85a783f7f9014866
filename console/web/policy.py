"""Policy: who runs which revision, and why somebody was refused."""

from __future__ import annotations

import asyncio

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.policy_pb2 import ListDecisionsRequest, ListEnginesRequest

from console.cli import judged
from console.cli.moments import iso
from console.web.console import CONSOLE, routes
from console.web.guard import WHO
from runtime.errors import NotFound

DENIALS = 200


@routes.get("/policy")
async def policy(request: web.Request) -> web.Response:
    """Revisions across the fleet; denials, newest first."""
    console, person = request.app[CONSOLE], request[WHO]
    call, gateway = console.gateway.call, console.gateway
    engines, denials, events = await asyncio.gather(
        call(person, gateway.policy.ListEngines, ListEnginesRequest()),
        call(person, gateway.registry.ListDenials, registry.ListDenialsRequest(page_size=DENIALS)),
        call(person, gateway.registry.ListSecurityEvents, registry.ListSecurityEventsRequest(page_size=50)),
    )
    by_revision: dict[str, list[str]] = {}
    for one in engines.engines:
        by_revision.setdefault(one.revision or "none", []).append(one.name)
    away = judged.silent(engines.engines)
    told = [
        {
            "name": one.name, "revision": one.revision, "since": iso(one.since), "heard": iso(one.heard_time),
            "error": one.error or ("Not heard of for minutes." if one.name in away else ""),
            "made": one.made, "lost": one.lost,
        }
        for one in engines.engines
    ]  # fmt: skip
    return console.templates.page(
        request,
        "policy.html",
        served=engines.served_revision,
        revisions=sorted(by_revision.items(), key=lambda pair: (pair[0] != engines.served_revision, -len(pair[1]))),
        engines=len(told),
        odd=[one for one in told if one["error"] or one["lost"] or one["revision"] != engines.served_revision],
        denials=[judged.denial(one) for one in denials.denials],
        events=[judged.security_event(one) for one in events.events],
    )


@routes.get("/policy/decisions/{id}")
async def decision(request: web.Request) -> web.Response:
    """One refusal, explained: who, what, the sentence, the rule, what to do."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    call, gateway = console.gateway.call, console.gateway
    answer = await call(person, gateway.registry.ListDenials, registry.ListDenialsRequest(page_size=1000))
    denials = [judged.denial(one) for one in answer.denials if one.decision_id == name]
    if not denials:
        raise NotFound(f"No denial is kept of a decision {name}.")
    listed = await call(person, gateway.policy.ListDecisions, ListDecisionsRequest(page_size=1000))
    decided = next((judged.decision(one) for one in listed.decisions if one.decision_id == name), None)
    return console.templates.page(request, "decision.html", denials=denials, decision=decided)
