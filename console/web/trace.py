"""Trace: where a click went, and where it waited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.policy_pb2 import ListDecisionsRequest
from orbital.v1.restore_pb2 import ListRestorationsRequest
from orbital.v1.trace_pb2 import GetTraceRequest

from console.cli import judged, rows
from console.cli.moments import elapsed
from console.web.console import CONSOLE, Console, routes
from console.web.guard import WHO
from console.web.person import Person
from runtime.errors import NotFound

WIDTH = 1000.0
# The slowest ones are open; the others are a row each.
OPEN, SHOWN = 5, 300
# What each stage ends: the way from the one before it.
ORDER = ("desired", "task", "dispatch", "receive", "decide", "execute", "report", "converge")


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage between two times. `x` and `width` are in units of WIDTH; a mark has no length of its own."""

    stage: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One task's way: its bars, how long it took, whatever is not heard of yet."""

    region: str
    resource: str
    kind: str
    lane: int | None
    outcome: str
    took: str
    seconds: float
    bars: tuple[Bar, ...]
    arrivals: tuple[str, ...]
    pending: str
    hops: tuple[rows.Row, ...]


def waterfall(hops: list[rows.Row]) -> tuple[list[Lane], float]:
    """The ways of all tasks, the slowest first, and the seconds that all of it took; clocks are not corrected."""
    times = [_seconds(hop) for hop in hops if hop["time"]]
    if not times:
        return [], 0.0
    begin, span = min(times), max(max(times) - min(times), 0.001)
    by_task: dict[str, list[rows.Row]] = {}
    for hop in hops:
        if hop["task_id"]:
            by_task.setdefault(hop["task_id"], []).append(hop)
    lanes = [_lane(mine, begin, span) for mine in by_task.values()]
    return sorted(lanes, key=lambda lane: (not lane.pending, -lane.seconds, lane.region)), span


def _lane(hops: list[rows.Row], begin: float, span: float) -> Lane:
    timed = sorted((hop for hop in hops if hop["time"]), key=lambda hop: (_seconds(hop), ORDER.index(hop["stage"])))
    bars, before = [], _seconds(timed[0]) if timed else begin
    for hop in timed:
        now = _seconds(hop)
        title = f"{hop['stage']} +{(now - begin) * 1000:,.0f} ms {hop['outcome']} {hop['message']}".strip()
        x = (min(before, now) - begin) / span * WIDTH
        bars.append(Bar(hop["stage"], round(x, 1), round(max(abs(now - before) / span * WIDTH, 2.0), 1), title))
        before = now
    last, first = timed[-1] if timed else hops[-1], timed[0] if timed else hops[0]
    seconds = _seconds(last) - _seconds(first) if timed else 0.0
    reached = last["stage"]
    missing = "" if reached in ("report", "converge") else ORDER[min(ORDER.index(reached) + 1, len(ORDER) - 1)]
    arrivals = tuple(dict.fromkeys(hop["path"] for hop in hops if hop.get("path")))
    head = next((hop for hop in hops if hop["kind"]), first)
    outcome = next((hop["outcome"] for hop in reversed(hops) if hop["outcome"]), "")
    return Lane(
        first["region"], first["resource"], head["kind"], head["lane"], outcome, elapsed(seconds), seconds,
        tuple(bars), arrivals, missing, tuple(hops),
    )  # fmt: skip


def _seconds(hop: rows.Row) -> float:
    return datetime.fromisoformat(hop["time"]).timestamp()


@routes.get("/traces/{id}")
async def trace(request: web.Request) -> web.Response:
    """The waterfall of one change, and every hop as a table."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    decided = await _decisions(console, person, name)
    try:
        answer = await console.gateway.call(
            person, console.gateway.trace.GetTrace, GetTraceRequest(correlation_id=name)
        )
    except NotFound:
        return await _known(request, decided)
    found = rows.trace(answer)
    lanes, span = waterfall(found["hops"])
    own = [hop for hop in found["hops"] if not hop["task_id"]]
    return console.templates.page(
        request,
        "trace.html",
        trace=found,
        own=own,
        lanes=lanes[:SHOWN],
        opened=OPEN,
        hidden=max(0, len(lanes) - SHOWN),
        span=elapsed(span),
        ticks=[(round(WIDTH * part / 4), elapsed(span * part / 4)) for part in range(5)],
        regions=len({lane.region for lane in lanes}),
        pending=sum(bool(lane.pending) for lane in lanes),
        decisions=decided,
    )


async def _decisions(console: Console, person: Person, name: str) -> list[rows.Row]:
    asked = ListDecisionsRequest(correlation_id=name, page_size=100)
    listed = await console.gateway.call(person, console.gateway.policy.ListDecisions, asked)
    return [judged.decision(one) for one in listed.decisions]


async def _known(request: web.Request, decided: list[rows.Row]) -> web.Response:
    """What is known of an ID that no change has: an action outside of changes, a refused call, a request."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    gateway, call = console.gateway, console.gateway.call
    flags, denials, restorations = await asyncio.gather(
        call(person, gateway.registry.ListFlags, registry.ListFlagsRequest()),
        call(person, gateway.registry.ListDenials, registry.ListDenialsRequest(correlation_id=name)),
        call(person, gateway.restore.ListRestorations, ListRestorationsRequest(id=name, page_size=1)),
    )
    caused = [rows.flag(one) for one in flags.flags if one.correlation_id == name]
    refused = [judged.denial(one) for one in denials.denials]
    asked = [rows.restoration(one) for one in restorations.restorations] if name else []
    return console.templates.page(
        request,
        "known.html",
        status=200 if caused or refused or asked or decided else 404,
        id=name,
        flags=caused,
        denials=refused,
        restorations=asked,
        decisions=decided,
    )
