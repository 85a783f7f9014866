"""Kill switch: what goes dark; whether it did, everywhere, provably."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web
from orbital.v1 import registry_pb2 as registry
from orbital.v1.receipt_pb2 import GetProofRequest

from console.cli import rows
from console.web.console import CONSOLE, Console, routes
from console.web.guard import WHO
from console.web.live import Event, send_events
from console.web.login import form_status
from console.web.person import Person
from console.web.tenants import listed
from console.web.wave import Wave, look
from runtime.errors import Denied, Invalid, NotFound, OrbitalError, Unavailable
from runtime.proof import opened, page, write_file

KILLS = 20
MOST_REASON = 500
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class BlastRadius:
    """What would go dark. `unknown` says why it cannot be counted; revoking stays possible then."""

    regions: list[str] = field(default_factory=list)
    services: int = 0
    links: int = 0
    edges: int = 0
    unreachable: list[rows.Row] = field(default_factory=list)
    # What each region that counts served in the last hour.
    uses: list[rows.Row] = field(default_factory=list)
    already: bool = False
    # Of a Link; "" stands for all.
    system: str = ""
    unknown: str = ""
    # Links of other tenants that share its L1 key, by full name.
    shared: list[str] = field(default_factory=list)

    @property
    def wraps(self) -> int:
        """Keys wrapped in the last hour, where it is counted."""
        return sum(one["wraps"] for one in self.uses)

    @property
    def unwraps(self) -> int:
        """Keys unwrapped in the last hour, where it is counted."""
        return sum(one["unwraps"] for one in self.uses)

    @property
    def uncounted(self) -> list[str]:
        """Regions that do not say how much they serve."""
        return sorted(set(self.regions) - {one["region"] for one in self.uses})

    @property
    def mark(self) -> str:
        """What a person has seen of it, to be compared with how it is when they confirm."""
        return "unknown" if self.unknown else f"{len(self.regions)}/{self.services}/{self.links}/{len(self.shared)}"


@dataclass(frozen=True, slots=True)
class KillTarget:
    """What is to be revoked: a tenant, or one of its Links."""

    tenant: str
    link: str = ""

    @property
    def path(self) -> str:
        """Its page."""
        return f"/kill/tenants/{self.tenant}" + (f"/links/{self.link}" if self.link else "")

    @property
    def name(self) -> str:
        """What has to be typed."""
        return f"{self.tenant}/{self.link}" if self.link else self.tenant


def _aim(request: web.Request) -> KillTarget:
    return KillTarget(request.match_info["tenant"], request.match_info.get("link", ""))


@routes.get("/kill")
async def choose(request: web.Request) -> web.Response:
    """The only place where it begins: the choice of a tenant; and what was revoked before."""
    console, person, words = request.app[CONSOLE], request[WHO], request.query.get("q", "").strip()
    api = console.gateway.registry
    tenants, (kills, more) = await asyncio.gather(
        listed(console, person, "tenant"),
        console.gateway.first(
            person, api.ListJobs, registry.ListJobsRequest(page_size=KILLS, action="kill"), "jobs", KILLS
        ),
    )
    chosen = [one for one in tenants if words.casefold() in f"{one['name']} {one['display_name']}".casefold()]
    return console.templates.page(
        request,
        "kill.html",
        q=words,
        total=len(tenants),
        tenants=[one for one in chosen if one["state"] != "killed"][:200],
        kills=[rows.job(one) for one in kills],
        more=more,
    )


@routes.get("/kill/tenants/{tenant}")
@routes.get("/kill/tenants/{tenant}/links/{link}")
async def aim(request: web.Request) -> web.Response:
    """The blast radius, before anything can be done."""
    found = _aim(request)
    return _page(request, found, await _radius(request, found))


@routes.post("/kill/tenants/{tenant}")
@routes.post("/kill/tenants/{tenant}/links/{link}")
async def revoke(request: web.Request) -> web.Response:
    """Revoke, once name and reason are given and the radius is the one that was seen."""
    found, fields = _aim(request), await request.post()
    typed, reason, seen = (str(fields.get(name, "")).strip() for name in ("name", "reason", "seen"))
    request_id = str(fields.get("request_id", ""))
    radius = await _radius(request, found)
    problem = ""
    if typed != found.name:
        problem = f"“{typed}” is not “{found.name}”. Nothing was done."
    elif not 0 < len(reason) <= MOST_REASON:
        problem = f"A reason of 1 to {MOST_REASON} characters is wanted. Nothing was done."
    elif seen != radius.mark and not radius.unknown:
        problem = "The blast radius has changed since you looked. Nothing was done; this is how it is now."
    elif radius.unknown and not fields.get("acknowledge"):
        problem = "The blast radius is not known: acknowledge that. Nothing was done."
    if problem:
        return _page(request, found, radius, problem=problem, reason=reason, request_id=request_id, status=400)
    try:
        correlation_id = await _revoke(request, found, reason, request_id or uuid4().hex)
    except Denied as error:
        status = form_status(error)
        return _page(request, found, radius, problem=error.message, reason=reason, request_id=request_id, status=status)
    raise web.HTTPSeeOther(f"/kill/waves/{correlation_id}" if correlation_id else found.path)


async def _revoke(request: web.Request, found: KillTarget, reason: str, request_id: str) -> str:
    console, person = request.app[CONSOLE], request[WHO]
    api, call = console.gateway.registry, console.gateway.call
    asked = registry.KillRequest(tenant=found.tenant, link=found.link, reason=reason, request_id=request_id)
    return str((await call(person, api.Kill, asked)).correlation_id)


async def _radius(request: web.Request, found: KillTarget) -> BlastRadius:
    console, person = request.app[CONSOLE], request[WHO]
    try:
        radius = await _reach(console, person, found)
        await _complete(console, person, radius, found)
    except (NotFound, Denied, Invalid):
        raise
    except OrbitalError as error:
        return BlastRadius(unknown=error.message)
    return radius


async def _reach(console: Console, person: Person, found: KillTarget) -> BlastRadius:
    api, call = console.gateway.registry, console.gateway.call
    asked = registry.KillRequest(
        tenant=found.tenant, link=found.link, reason="Only asked what it would reach", validate_only=True
    )
    answer = await call(person, api.Kill, asked)
    radius = BlastRadius(
        list(answer.regions),
        answer.services,
        answer.links,
        already=answer.already_killed,
        shared=list(answer.shared_links),
    )
    if found.link:
        name = f"tenants/{found.tenant}/links/{found.link}"
        link = await call(person, api.GetResource, registry.GetResourceRequest(name=name))
        radius.system = link.link.system
    return radius


async def _complete(console: Console, person: Person, radius: BlastRadius, found: KillTarget) -> None:
    """Edges, which of the regions cannot be reached now, and how much is served there."""
    api = console.gateway.registry
    asked = registry.ListUsesRequest(tenant=found.tenant, system=radius.system)
    edges, regions, uses = await asyncio.gather(
        console.gateway.edges(person),
        console.gateway.regions(person),
        console.gateway.every(person, api.ListUses, asked, "uses"),
    )
    reached = set(radius.regions)
    radius.edges = sum(one.region in reached for one in edges)
    known = (rows.region(one) for one in regions)
    radius.uses = [rows.use(one) for one in uses if one.region in reached]
    radius.unreachable = [one for one in known if one["name"] in reached and not one["connected"]]


def _page(
    request: web.Request,
    found: KillTarget,
    radius: BlastRadius,
    *,
    problem: str = "",
    reason: str = "",
    request_id: str = "",
    status: int = 200,
) -> web.Response:
    return request.app[CONSOLE].templates.page(
        request,
        "revoke.html",
        status=status,
        aim=found,
        radius=radius,
        problem=problem,
        late=status == 403,
        reason=reason,
        request_id=request_id or uuid4().hex,
        most=MOST_REASON,
    )


@routes.get("/kill/waves/{id}")
async def wave(request: web.Request) -> web.Response:
    """The regions turning dark: a page to come back to."""
    found = await _wave(request)
    return request.app[CONSOLE].templates.page(request, "wave.html", wave=found)


@routes.get("/live/waves/{id}")
async def live(request: web.Request) -> web.StreamResponse:
    """The same, as it happens."""
    return await send_events(request, request[WHO], _waves(request))


async def _waves(request: web.Request) -> AsyncIterator[Event]:
    last: dict[str, Any] = {}
    while True:
        found = await _wave(request)
        told = found.told()
        if told != last:
            last = told
            yield "wave", told
        else:
            yield "beat", {}
        if found.ended_at:
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _wave(request: web.Request) -> Wave:
    return await look(request.app[CONSOLE], request[WHO], request.match_info["id"])


@routes.get("/kill/waves/{id}/proof")
async def proof(request: web.Request) -> web.Response:
    """The proof as it is now, as a file that anyone can check; its name says whether it is whole."""
    console, person, name = request.app[CONSOLE], request[WHO], request.match_info["id"]
    answer = await console.gateway.call(person, console.gateway.proof.GetProof, GetProofRequest(correlation_id=name))
    told = page(opened(answer))
    if not told["regions"]:
        raise Unavailable("No region has been asked yet, so there is nothing to prove.")
    identity = re.sub(r"[^A-Za-z0-9-]", "", str(told["correlation_id"]))
    whole = "" if told["proven"] == told["regions"] else f"-partial-{told['proven']}-of-{told['regions']}"
    return web.Response(
        body=write_file(answer),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="proof-{identity}{whole}.json"'},
    )
