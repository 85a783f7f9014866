"""A revocation on its way: which regions are dark, since when, and who is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orbital.v1 import registry_pb2 as registry

from console.cli import rows
from console.cli.moments import at, between, elapsed, moment_of
from console.web.console import Console
from console.web.person import Person
from runtime.lease import lasts
from runtime.wellknown import seconds

DONE = ("done", "superseded")


@dataclass(frozen=True, slots=True)
class WavePart:
    """A region's share. `dark` is set once it has proved it all; `by` is when its lease ends in any case."""

    region: str
    dark: bool
    at: str
    after: str
    why: str
    heard: str
    by: str


@dataclass(frozen=True, slots=True)
class Wave:
    """The whole of it, the missing ones first."""

    correlation_id: str
    action: str
    detail: str
    actor: str
    created_at: str
    converged_at: str
    ended_at: str
    superseded_by: list[str]
    took: str
    parts: tuple[WavePart, ...]

    @property
    def dark(self) -> int:
        """How many regions are."""
        return sum(part.dark for part in self.parts)

    @property
    def missing(self) -> list[WavePart]:
        """Those that are not."""
        return [part for part in self.parts if not part.dark]

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "dark": self.dark, "total": len(self.parts)}


async def look(console: Console, person: Person, correlation_id: str) -> Wave:
    """The wave as it is now; raises NotFound when there is no such change."""
    api = console.gateway.registry
    # In this order: what the job says is over is then over in its tasks as well.
    job = await _job(console, person, correlation_id)
    tasks = await _tasks(console, person, correlation_id)
    by_region: dict[str, list[rows.Row]] = {}
    for task in tasks:
        by_region.setdefault(task["region"], []).append(task)
    behind = {one["region"]: one for one in job["regions"]}
    lease = await _lease(console, person, api, tasks) if behind else None
    parts = [
        _part(region, by_region.get(region, []), behind.get(region), job, lease)
        for region in sorted({*by_region, *behind})
    ]
    took = _since(job["created_at"], job["converged_at"]) if job["converged_at"] else ""
    names = ("correlation_id", "action", "detail", "actor", "created_at", "converged_at", "ended_at", "superseded_by")
    head: dict[str, Any] = {name: job[name] or "" for name in names}
    return Wave(**head, took=took, parts=tuple(sorted(parts, key=lambda part: (part.dark, part.at, part.region))))


async def _job(console: Console, person: Person, correlation_id: str) -> rows.Row:
    asked = registry.WatchJobRequest(correlation_id=correlation_id)
    async for found in console.gateway.stream(person, console.gateway.registry.WatchJob, asked):
        return rows.job(found)
    raise AssertionError("a watched job is told at once, or refused")


async def _tasks(console: Console, person: Person, correlation_id: str) -> list[rows.Row]:
    asked = registry.ListTasksRequest(correlation_id=correlation_id, page_size=5000)
    found: list[rows.Row] = []
    async for answer in console.gateway.pages(person, console.gateway.registry.ListTasks, asked):
        found += map(rows.task, answer.tasks)
    return found


async def _lease(console: Console, person: Person, api: Any, tasks: list[rows.Row]) -> float | None:
    """The tenant's Strict Sovereign TTL in seconds; None where no tenant is concerned."""
    tenant = next((task["tenant"] for task in tasks if task["tenant"]), "")
    if not tenant:
        return None
    asked = registry.GetResourceRequest(name=f"tenants/{tenant}")
    resource = await console.gateway.call(person, api.GetResource, asked)
    return lasts(seconds(resource.tenant.lease))


def _part(region: str, tasks: list[rows.Row], behind: rows.Row | None, job: rows.Row, lease: float | None) -> WavePart:
    begun, given_up = job["created_at"], region in job["superseded_regions"]
    # A task that was superseded counts here only because the region proved a later one instead.
    dark = behind is None and not given_up and bool(tasks) and all(task["state"] in DONE for task in tasks)
    since = max((task["updated_at"] or "" for task in tasks), default="") if dark else ""
    heard = (behind or {}).get("last_contact_at") or ""
    said = next(
        (task["reason"] or task["message"] for task in tasks if task["state"] not in DONE and task["reason"]), ""
    )
    taken_over = f"superseded by {', '.join(job['superseded_by'])}" if given_up else ""
    why = "" if dark else (behind or {}).get("reason") or taken_over or said or _waiting(behind)
    by = _after(heard, lease) if heard and lease and not dark and behind and not behind["connected"] else ""
    return WavePart(region, dark, since, _since(begun, since) if since else "", why, heard, by)


def _waiting(behind: rows.Row | None) -> str:
    return "unreachable" if behind and not behind["connected"] else "on its way"


def _since(begin: str | None, end: str | None) -> str:
    return elapsed(between(begin, end))


def _after(moment: str, seconds: float) -> str:
    return at(moment_of(moment) + seconds)
