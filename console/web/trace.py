"""Trace: where a click went, and where it waited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.approval_pb2 import ListApprovalsRequest
from orbital.v1.policy_pb2 import ListDecisionsRequest
from orbital.v1.trace_pb2 import GetTraceRequest

from console.cli import approval, judged, rows
from console.cli.moments import elapsed, moment_of
from console.web.console import CONSOLE, Console, routes
from console.web.guard import WHO
from console.web.person import Person
from runtime.errors import NotFound

WIDTH = 1000.0
DECISIONS, DENIALS = 1000, 1000  # rows that are shown of one change
# The slowest ones are open; the others are a row each.
OPEN, SHOWN = 5, 300
# The outcome of an arrival after the first one.
DUPLICATE = "duplicate"
# What each stage ends: the way from the one before it.
ORDER = ("desired", "task", "dispatch", "receive", "decide", "execute", "report", "converge")


@dataclass(frozen=True, slots=True)
class TraceBar:
    """A stage between two times. `x` and `width` are in units of WIDTH; a mark has no length of its own."""

    stage: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class TraceLane:
    """One task's way: its bars, how long it took, whatever is not heard of yet."""

    region: str
    resource: str
    kind: str
    lane: int | None
    outcome: str
    took: str
    seconds: float
    bars: tuple[TraceBar, ...]
    arrivals: tuple[str, ...]
    pending: str
    hops: tuple[rows.Row, ...]
    # How often the task was sent; more than once is a retry.
    attempts: int = 1


def waterfall(hops: list[rows.Row], attempts: Mapping[str, int] | None = None) -> tuple[list[TraceLane], float]:
    """The change itself, then the ways of its tasks, the slowest first; and the seconds that all of it took.

    `attempts` says by task ID how often it was sent. Clocks are not corrected.
    """
    times = [_seconds(hop) for hop in hops if hop["time"]]
    if not times:
        return [], 0.0
    begin, span = min(times), max(max(times) - min(times), 0.001)
    by_task: dict[str, list[rows.Row]] = {}
    for hop in hops:
        if hop["task_id"]:
            by_task.setdefault(hop["task_id"], []).append(hop)
    lanes = [_lane(mine, begin, span, (attempts or {}).get(task, 1)) for task, mine in by_task.items()]
    own = [_lane(mine, begin, span) for mine in [[hop for hop in hops if not hop["task_id"]]] if mine]
    return own + sorted(lanes, key=lambda lane: (not lane.pending, -lane.seconds, lane.region)), span


def _lane(hops: list[rows.Row], begin: float, span: float, attempts: int = 1) -> TraceLane:
    timed = sorted((hop for hop in hops if hop["time"]), key=lambda hop: (_seconds(hop), _place(hop)))
    bars, before = [], _seconds(timed[0]) if timed else begin
    for hop in timed:
        now = _seconds(hop)
        title = f"{hop['stage']} +{(now - begin) * 1000:,.0f} ms {hop['outcome']} {hop['message']}".strip()
        if hop["outcome"] == DUPLICATE:
            # The same by another path: told, and nothing that anybody waited for.
            bars.append(TraceBar(DUPLICATE, round((now - begin) / span * WIDTH, 1), 2.0, f"{title} by {hop['path']}"))
            continue
        x = (min(before, now) - begin) / span * WIDTH
        bars.append(TraceBar(hop["stage"], round(x, 1), round(max(abs(now - before) / span * WIDTH, 2.0), 1), title))
        before = now
    last, first = timed[-1] if timed else hops[-1], timed[0] if timed else hops[0]
    seconds = _seconds(last) - _seconds(first) if timed else 0.0
    reached = last["stage"]
    missing = "" if reached in ("report", "converge") else ORDER[min(_place(last) + 1, len(ORDER) - 1)]
    head = next((hop for hop in hops if hop["kind"]), first)
    outcome = next((hop["outcome"] for hop in reversed(hops) if hop["outcome"]), "")
    return TraceLane(
        first["region"], first["resource"], head["kind"], head["lane"], outcome, elapsed(seconds), seconds,
        tuple(bars), _arrivals(timed), missing if first["task_id"] else "", tuple(hops), attempts,
    )  # fmt: skip


def _arrivals(timed: list[rows.Row]) -> tuple[str, ...]:
    """Each path that it came by, and how much later than by the first."""
    came: dict[str, float] = {}
    for hop in timed:
        if hop["path"]:
            came.setdefault(hop["path"], _seconds(hop))
    earliest = min(came.values(), default=0.0)
    return tuple(
        path if moment == earliest else f"{path} +{(moment - earliest) * 1000:,.0f} ms" for path, moment in came.items()
    )


def _seconds(hop: rows.Row) -> float:
    return moment_of(hop["time"])


def _place(hop: rows.Row) -> int:
    """Where its stage stands in ORDER; one that is not known here comes last."""
    return ORDER.index(hop["stage"]) if hop["stage"] in ORDER else len(ORDER) - 1


@routes.get("/traces/{id}")
async def trace(request: web.Request) -> web.Response:
    """The waterfall of one change, and every hop as a table."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    decided, more = await _decisions(console, person, name)
    try:
        answer = await console.gateway.call(
            person, console.gateway.trace.GetTrace, GetTraceRequest(correlation_id=name)
        )
    except NotFound:
        return await _known(request, decided, more_decisions=more)
    found = rows.trace(answer)
    lanes, span = waterfall(found["hops"], await _attempts(console, person, name))
    return console.templates.page(
        request,
        "trace.html",
        trace=found,
        lanes=lanes[:SHOWN],
        opened=OPEN,
        hidden=max(0, len(lanes) - SHOWN),
        tasks=sum(bool(lane.kind) for lane in lanes),
        span=elapsed(span),
        ticks=[(round(WIDTH * part / 4), elapsed(span * part / 4)) for part in range(5)],
        regions=len({lane.region for lane in lanes if lane.region}),
        pending=sum(bool(lane.pending) for lane in lanes),
        decisions=decided,
        more_decisions=more,
    )


async def _decisions(console: Console, person: Person, name: str) -> tuple[list[rows.Row], bool]:
    asked, method = ListDecisionsRequest(correlation_id=name, page_size=DECISIONS), console.gateway.policy.ListDecisions
    listed, more = await console.gateway.first(person, method, asked, "decisions", DECISIONS)
    return [judged.decision(one) for one in listed], more


async def _attempts(console: Console, person: Person, name: str) -> dict[str, int]:
    asked = registry.ListTasksRequest(correlation_id=name, page_size=5000)
    return {
        task.id: task.attempts
        async for answer in console.gateway.pages(person, console.gateway.registry.ListTasks, asked)
        for task in answer.tasks
    }


async def _known(request: web.Request, decided: list[rows.Row], *, more_decisions: bool) -> web.Response:
    """What is known of an ID that no change has: an action outside of changes, a refused call, a request."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    gateway, call = console.gateway, console.gateway.call
    flags, (denials, more_denials), approvals = await asyncio.gather(
        gateway.flags(person),
        gateway.first(
            person,
            gateway.registry.ListDenials,
            registry.ListDenialsRequest(correlation_id=name, page_size=DENIALS),
            "denials",
            DENIALS,
        ),
        call(person, gateway.approval.ListApprovals, ListApprovalsRequest(id=name, page_size=1)),
    )
    caused = [rows.flag(one) for one in flags if one.correlation_id == name]
    refused = [judged.denial(one) for one in denials]
    asked = [approval.row(one) for one in approvals.approvals] if name else []
    return console.templates.page(
        request,
        "known.html",
        status=200 if caused or refused or asked or decided else 404,
        id=name,
        flags=caused,
        denials=refused,
        approvals=asked,
        decisions=decided,
        more_denials=more_denials,
        more_decisions=more_decisions,
    )
