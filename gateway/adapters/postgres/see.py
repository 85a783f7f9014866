"""Reads for people and programs: resources, regions, placements, tasks, jobs and traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import asyncpg
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database
from gateway.domain.state import pace
from gateway.ports.serving import MOST_TASKS, JobRecord, TaskRecord
from runtime.page import Item, before_id, before_moment, fitting, page_before, read_token, write_token

CONVERGED = registry.PlacementState.PLACEMENT_STATE_CONVERGED
CONVERGING = registry.PlacementState.PLACEMENT_STATE_CONVERGING
DRIFTING = registry.PlacementState.PLACEMENT_STATE_DRIFTING
LAST_SEQUENCE = 2**62


def page_of(
    rows: Sequence[asyncpg.Record], made: Callable[[asyncpg.Record], Item], size: int
) -> tuple[list[Item], bool]:
    """What a page of at most `size` rows has room for, and whether there may be more."""
    found = fitting(map(made, rows))
    return found, len(found) < len(rows) or len(rows) == size


def _resource(row: asyncpg.Record) -> Resource:
    resource = Resource.FromString(row["body"])
    resource.generation = row["generation"]
    resource.correlation_id = row["correlation_id"]
    resource.update_time.FromDatetime(row["updated_at"])
    return resource


def _placement(row: asyncpg.Record) -> registry.Placement:
    behind = row["desired_generation"] > row["observed_generation"]
    state = DRIFTING if row["withdrawn"] or (behind and row["reason"]) else CONVERGING if behind else CONVERGED
    placement = registry.Placement(
        tenant=row["tenant"],
        resource=row["name"],
        kind=row["kind"],
        region=row["region"],
        desired_generation=row["desired_generation"],
        observed_generation=row["observed_generation"],
        state=state,
        reason=row["reason"],
        message=row["message"],
        correlation_id=row["correlation_id"],
        key_state=row["key_state"],
        key_version=row["key_version"],
        leaving=row["leaving"],
    )
    placement.updated_at.FromDatetime(row["updated_at"])
    if row["parked_until"] is not None and behind:
        placement.retry_time.FromDatetime(row["parked_until"])
    return placement


def task_of(row: asyncpg.Record) -> registry.TaskStatus:
    """A task as a row has it."""
    task = registry.TaskStatus(
        id=row["id"].hex,
        resource=row["name"],
        attempts=row["attempt"],
        **{
            name: row[name]
            for name in (
                "kind", "lane", "sequence", "region", "tenant", "generation", "state",
                "reason", "message", "correlation_id",
            )
        },
    )  # fmt: skip
    task.create_time.FromDatetime(row["created_at"])
    task.update_time.FromDatetime(row["updated_at"])
    if row["parked_until"] is not None:
        task.retry_time.FromDatetime(row["parked_until"])
    return task


def _job(row: asyncpg.Record) -> registry.Job:
    """The head of a change; of one that has ended, nothing is behind."""
    names = (
        "correlation_id",
        "actor",
        "action",
        "detail",
        "total",
        "superseded",
        "superseded_by",
        "given_up",
        "lost_regions",
    )
    job = registry.Job(**{name: row[name] for name in names}, state=registry.JOB_STATE_CONVERGING)
    job.create_time.FromDatetime(row["created_at"])
    job.converged = max(job.total - job.superseded - job.given_up, 0)
    if row["ended_at"] is not None:
        job.end_time.FromDatetime(row["ended_at"])
        job.state = registry.JOB_STATE_SUPERSEDED
    if row["converged_at"] is not None:
        job.converge_time.FromDatetime(row["converged_at"])
        job.state = registry.JOB_STATE_CONVERGED
    if row["ended_at"] is not None and row["given_up"] and not row["superseded"]:
        job.ClearField("converge_time")
        job.state = registry.JOB_STATE_GIVEN_UP
    return job


def _listed_job(row: asyncpg.Record) -> registry.Job:
    job = _job(row)
    job.converged = max(job.converged - row["behind"], 0)
    return job


def _rebuild(row: asyncpg.Record) -> registry.Rebuild:
    rebuild = registry.Rebuild(
        stores=row["stores"].split(","),
        serving=row["serving"],
        total=row["placements"],
        replayed=row["placements"] - row["unanswered"],
    )
    rebuild.begin_time.FromDatetime(row["began_at"])
    rebuild.rate, remaining = pace(rebuild.replayed, rebuild.total, row["recovering_seconds"])
    if remaining is not None:
        rebuild.remaining.FromMilliseconds(round(remaining * 1000))
    return rebuild


class PostgresReads:
    """Answers every Get, List and Watch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _fetch(self, query: str, *arguments: object) -> Sequence[asyncpg.Record]:
        return await self._database.fetch(query, *arguments)

    async def resource(self, name: str) -> Resource | None:
        """One resource, by full name."""
        rows = await self._fetch("resource", name)
        return _resource(rows[0]) if rows else None

    async def resources(
        self, kind: int, tenant: str, size: int, token: str, *, retired: bool
    ) -> registry.ListResourcesResponse:
        """A page of resources of one kind; with `retired`, tombstones too."""
        (after,) = read_token(token, (str,)) if token else ("",)
        rows = await self._fetch("resources", kind, tenant, after, size, retired)
        found, more = page_of(rows, _resource, size)
        token = write_token(found[-1].name) if more else ""
        return registry.ListResourcesResponse(resources=found, next_page_token=token)

    async def regions(self) -> registry.ListRegionsResponse:
        """Every region with what is known of it."""
        answer = registry.ListRegionsResponse()
        for row in await self._fetch("region_status"):
            region = answer.regions.add(
                resource=_resource(row),
                connected=row["connected"],
                placements=row["placements"],
                drifting=row["drifting"],
                transport=row["path"],
                stalled=row["stalled"],
                waiting=row["waiting"],
                policy_revisions=row["revisions"],
            )
            if row["behind_since"] is not None:
                region.behind_since.FromDatetime(row["behind_since"])
            if row["contacted_at"] is not None:
                region.last_contact_at.FromDatetime(row["contacted_at"])
            if row["began_at"] is not None:
                region.rebuild.CopyFrom(_rebuild(row))
        return answer

    async def placements(
        self, chosen: registry.PlacementFilter, size: int, token: str
    ) -> registry.ListPlacementsResponse:
        """A page of placements."""
        after = read_token(token, (str, str)) if token else ("", "")
        rows = await self._fetch(
            "placements",
            chosen.tenant,
            chosen.region,
            chosen.resource,
            chosen.correlation_id,
            chosen.drifting_only,
            *after,
            size,
        )
        found, more = page_of(rows, _placement, size)
        token = write_token(found[-1].resource, found[-1].region) if more else ""
        return registry.ListPlacementsResponse(placements=found, next_page_token=token)

    async def tasks(self, request: registry.ListTasksRequest, size: int) -> registry.ListTasksResponse:
        """A page of tasks, newest first."""
        (before,) = read_token(request.page_token, (int,)) if request.page_token else (LAST_SEQUENCE,)
        rows = await self._fetch("tasks", request.tenant, request.region, request.correlation_id, before, size)
        found, more = page_of(rows, task_of, size)
        token = write_token(found[-1].sequence) if more else ""
        return registry.ListTasksResponse(tasks=found, next_page_token=token)

    async def dead_letters(self, size: int, token: str) -> registry.ListDeadLettersResponse:
        """A page of messages that could not be read, newest first."""
        rows = await self._fetch("dead_letters", size + 1, before_id(token))
        letters = []
        for row in rows:
            names = ("id", "region", "lane", "reason", "size_bytes")
            letters.append(registry.DeadLetter(**{name: row[name] for name in names}))
            letters[-1].create_time.FromDatetime(row["created_at"])
        found, more = page_before(letters, lambda index: (letters[index].id,), size)
        answer = registry.ListDeadLettersResponse(dead_letters=found, next_page_token=more)
        for row in rows[:1]:
            answer.total, answer.dropped = row["total"], row["dropped"]
        return answer

    async def security_events(self, size: int, token: str) -> registry.ListSecurityEventsResponse:
        """A page of security events, newest first."""
        names = ("id", "region", "subject", "reason", "message", "principal", "count")
        events = []
        for row in await self._fetch("security_events", size + 1, before_id(token)):
            events.append(registry.SecurityEvent(**{name: row[name] for name in names}))
            events[-1].first_time.FromDatetime(row["first_at"])
            events[-1].last_time.FromDatetime(row["last_at"])
        found, more = page_before(events, lambda index: (events[index].id,), size)
        return registry.ListSecurityEventsResponse(events=found, next_page_token=more)

    async def denials(self, correlation_id: str, size: int, token: str) -> registry.ListDenialsResponse:
        """A page of refusals that were kept, newest first."""
        names = (
            "decision_id",
            "policy",
            "principal",
            "action",
            "reason",
            "message",
            "correlation_id",
            "engine",
            "count",
        )
        rows = await self._fetch("denials", correlation_id, size + 1, before_id(token))
        denials = []
        for row in rows:
            denials.append(registry.Denial(**{name: row[name] for name in names}))
            denials[-1].create_time.FromDatetime(row["created_at"])
            denials[-1].last_time.FromDatetime(row["last_at"])
        found, more = page_before(denials, lambda index: (rows[index]["id"],), size)
        return registry.ListDenialsResponse(denials=found, next_page_token=more)

    async def job(self, correlation_id: str) -> registry.Job | None:
        """How far a change has converged."""
        rows = await self._fetch("job", correlation_id)
        if not rows:
            return None
        head = rows[0]
        job = _job(head)
        if head["converged_at"] is not None:
            return job
        rows = await self._fetch("job_regions", correlation_id)
        for row in rows:
            names = ("region", "behind", "connected", "reason", "superseded", "parked")
            region = job.regions.add(**{name: row[name] for name in names if row[name] is not None})
            if row["contacted_at"] is not None:
                region.last_contact_at.FromDatetime(row["contacted_at"])
        if head["ended_at"] is None:
            job.superseded = sum(row["superseded"] for row in rows)
            job.superseded_by.extend(sorted({change for row in rows for change in row["superseded_by"]}))
        job.converged = max(job.total - job.superseded - job.given_up - sum(row["behind"] for row in rows), 0)
        return job

    async def jobs(self, request: registry.ListJobsRequest, size: int) -> registry.ListJobsResponse:
        """A page of changes, newest first."""
        rows = await self._fetch("jobs", *before_moment(request.page_token), request.action, size + 1)
        listed = list(map(_listed_job, rows))

        def key(index: int) -> tuple[str, str]:
            return rows[index]["created_at"].isoformat(), listed[index].correlation_id

        found, more = page_before(listed, key, size)
        return registry.ListJobsResponse(jobs=found, next_page_token=more)

    async def trace(self, correlation_id: str) -> tuple[JobRecord | None, Sequence[TaskRecord]]:
        """A job and what is stored of its tasks, in order of sequence."""
        heads = await self._fetch("job", correlation_id)
        tasks = [dict(row) for row in await self._fetch("trace_tasks", correlation_id, MOST_TASKS + 1)]
        arrivals: dict[object, list[tuple[int, object]]] = {}
        for row in await self._fetch("trace_arrivals", correlation_id):
            arrivals.setdefault(row["task_id"], []).append((row["path"], row["arrived_at"]))
        for task in tasks:
            task["arrivals"] = arrivals.get(task["id"], [])
        names = (
            "actor",
            "action",
            "detail",
            "decision_id",
            "process",
            "created_at",
            "converged_at",
            "ended_at",
            "superseded_by",
            "lost_regions",
        )
        return (JobRecord(**{name: heads[0][name] for name in names}) if heads else None), tasks
