"""RegistryService: desired state in, actual state out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

import grpc
from orbital.v1 import registry_pb2 as registry
from orbital.v1.edge_pb2 import Edge
from orbital.v1.flag_pb2 import HEALTH_STATUS_OUT_OF_SYNC
from orbital.v1.registry_pb2_grpc import RegistryServiceServicer
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.rpc.caller import caller
from gateway.adapters.rpc.fleet import Fleet
from gateway.domain.health import severity
from gateway.domain.resource import parse_name
from gateway.ports.edges import EdgeStore
from gateway.ports.flags import FlagStore
from gateway.ports.revocation import RevocationList
from gateway.ports.serving import Intent, ReadStore
from runtime.errors import Exhausted, Invalid, NotFound
from runtime.fields import check_name
from runtime.page import page_after, page_size
from runtime.wellknown import utc

Context = grpc.aio.ServicerContext[Any, Any]
MAX_PAGE = 5000  # rows of an answer, so that it stays below the largest message
MAX_WATCHED = 20_000  # placements of one watch: each is read again at every change
# How often progress is looked at. The end of a job is notified at once; a notification may be lost.
LOOK_SECONDS = 0.5


class JobEvents:
    """Wakes whoever waits for the end of a job; fed by the database's notifications."""

    def __init__(self) -> None:
        self._ends: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def heard(self, correlation_id: str) -> None:
        """That job has ended; "" stands for any, since some news may have been lost."""
        for name in [correlation_id] if correlation_id else list(self._ends):
            end = self._ends.pop(name, None)
            if end is not None:
                end.set()

    def end(self, correlation_id: str) -> asyncio.Event:
        """An event for the end of that job; take it before looking, so that none is missed."""
        return self._ends.setdefault(correlation_id, asyncio.Event())


class RegistryRpc(RegistryServiceServicer):
    """See registry.proto."""

    def __init__(
        self,
        desired: Intent,
        reads: ReadStore,
        flags: FlagStore,
        edges: EdgeStore,
        news: JobEvents,
        revocations: RevocationList,
    ) -> None:
        self._desired = desired
        self._reads = reads
        self._flags = flags
        self._edges = edges
        self._news = news
        self._fleet = Fleet(reads, flags, lambda: revocations.marks)

    async def Declare(self, request: registry.DeclareRequest, context: Context) -> registry.DeclareResponse:
        """See registry.proto."""
        return await self._desired.declare(request, caller(context))

    async def Kill(self, request: registry.KillRequest, context: Context) -> registry.KillResponse:
        """See registry.proto."""
        return await self._desired.kill(request, caller(context))

    async def Retire(self, request: registry.RetireRequest, context: Context) -> registry.RetireResponse:
        """See registry.proto."""
        return await self._desired.retire(request, caller(context))

    async def GetResource(self, request: registry.GetResourceRequest, context: Context) -> Resource:
        """See registry.proto."""
        parse_name(request.name)
        found = await self._reads.resource(request.name)
        if found is None:
            raise NotFound(f"{request.name} is not declared", reason="UNKNOWN_RESOURCE", field="name")
        return found

    async def ListResources(
        self,
        request: registry.ListResourcesRequest,
        context: Context,
    ) -> registry.ListResourcesResponse:
        """See registry.proto."""
        if request.kind not in registry.ResourceKind.values() or not request.kind:
            raise Invalid(f"kind is {request.kind}; expected 1 to 6", field="kind")
        size = page_size(request.page_size, MAX_PAGE)
        return await self._reads.resources(
            request.kind, request.tenant, size, request.page_token, retired=request.include_retired
        )

    async def ListRegions(
        self,
        request: registry.ListRegionsRequest,
        context: Context,
    ) -> registry.ListRegionsResponse:
        """See registry.proto."""
        size = page_size(request.page_size, MAX_PAGE)
        answer = await self._fleet.regions()
        found, more = page_after(answer.regions, lambda one: (one.resource.name,), (str,), request.page_token, size)
        return registry.ListRegionsResponse(regions=found, next_page_token=more)

    async def ListFlags(
        self,
        request: registry.ListFlagsRequest,
        context: Context,
    ) -> registry.ListFlagsResponse:
        """See registry.proto."""
        size = page_size(request.page_size, MAX_PAGE)
        flags = (await self._flags.flags(request.region)).items()
        found = [flag for region, here in flags if not (request.control_plane and region) for flag in here]
        held = await self._flags.holds()
        for flag in found:
            # What is held is held because of the worst there is.
            if flag.status == HEALTH_STATUS_OUT_OF_SYNC:
                flag.effects.extend(f"lane {hold.lane} is held: {hold.reason}" for hold in held.get(flag.region, ()))
        page, more = page_after(sorted(found, key=severity), severity, (int, int, str, str), request.page_token, size)
        return registry.ListFlagsResponse(flags=page, next_page_token=more)

    async def ListFlagChanges(
        self,
        request: registry.ListFlagChangesRequest,
        context: Context,
    ) -> registry.ListFlagChangesResponse:
        """See registry.proto."""
        if not request.region:
            raise Invalid("region is empty; whose flags are wanted?", field="region")
        since = utc(request.since) if request.HasField("since") else None
        size = page_size(request.page_size, MAX_PAGE)
        found, more = await self._flags.changes(request.region, since, size, request.page_token)
        return registry.ListFlagChangesResponse(changes=found, next_page_token=more)

    async def ListEdges(
        self,
        request: registry.ListEdgesRequest,
        context: Context,
    ) -> registry.ListEdgesResponse:
        """See registry.proto."""
        size = page_size(request.page_size, MAX_PAGE)
        found = sorted(await self._edges.edges(request.region), key=_edge)
        page, more = page_after(found, _edge, (str, str), request.page_token, size)
        return registry.ListEdgesResponse(edges=page, next_page_token=more)

    async def ListUses(
        self,
        request: registry.ListUsesRequest,
        context: Context,
    ) -> registry.ListUsesResponse:
        """See registry.proto."""
        check_name(request.tenant, "tenant")
        size = page_size(request.page_size, MAX_PAGE)
        uses = sorted(await self._edges.uses(request.tenant, request.system), key=lambda one: one.region)
        found, more = page_after(uses, lambda one: (one.region,), (str,), request.page_token, size)
        return registry.ListUsesResponse(uses=found, next_page_token=more)

    async def ListPlacements(
        self,
        request: registry.ListPlacementsRequest,
        context: Context,
    ) -> registry.ListPlacementsResponse:
        """See registry.proto."""
        size = page_size(request.page_size, MAX_PAGE)
        return await self._reads.placements(request.filter, size, request.page_token)

    async def ListTasks(
        self,
        request: registry.ListTasksRequest,
        context: Context,
    ) -> registry.ListTasksResponse:
        """See registry.proto."""
        return await self._reads.tasks(request, page_size(request.page_size, MAX_PAGE))

    async def ListDeadLetters(
        self,
        request: registry.ListDeadLettersRequest,
        context: Context,
    ) -> registry.ListDeadLettersResponse:
        """See registry.proto."""
        return await self._reads.dead_letters(page_size(request.page_size or 100, 1000), request.page_token)

    async def ListSecurityEvents(
        self,
        request: registry.ListSecurityEventsRequest,
        context: Context,
    ) -> registry.ListSecurityEventsResponse:
        """See registry.proto."""
        return await self._reads.security_events(page_size(request.page_size or 100, 1000), request.page_token)

    async def ListDenials(
        self,
        request: registry.ListDenialsRequest,
        context: Context,
    ) -> registry.ListDenialsResponse:
        """See registry.proto."""
        size = page_size(request.page_size or 100, 1000)
        return await self._reads.denials(request.correlation_id, size, request.page_token)

    async def WatchJob(
        self,
        request: registry.WatchJobRequest,
        context: Context,
    ) -> AsyncIterator[registry.Job]:
        """See registry.proto."""
        last: registry.Job | None = None
        while True:
            end = self._news.end(request.correlation_id)
            job = await self._reads.job(request.correlation_id)
            if job is None:
                raise NotFound(
                    f"No change has the correlation ID {request.correlation_id[:64]!r}",
                    reason="UNKNOWN_CORRELATION_ID",
                    field="correlation_id",
                )
            if job != last:
                last = job
                yield job
            if job.HasField("end_time"):
                return
            await _wait(end)

    async def ListJobs(
        self,
        request: registry.ListJobsRequest,
        context: Context,
    ) -> registry.ListJobsResponse:
        """See registry.proto."""
        return await self._reads.jobs(request, page_size(request.page_size or 100, 1000))

    async def WatchRegions(
        self,
        request: registry.WatchRegionsRequest,
        context: Context,
    ) -> AsyncIterator[registry.WatchRegionsResponse]:
        """See registry.proto."""
        async for changed in self._fleet.watch(request.region):
            yield changed

    async def WatchPlacements(
        self,
        request: registry.WatchPlacementsRequest,
        context: Context,
    ) -> AsyncIterator[registry.Placement]:
        """See registry.proto."""
        seen: dict[tuple[str, str], registry.Placement] = {}
        while True:
            page = await self._reads.placements(request.filter, MAX_WATCHED, "")
            if page.next_page_token:
                raise Exhausted(f"More than {MAX_WATCHED} placements match; narrow the filter", field="filter")
            for placement in page.placements:
                key = (placement.resource, placement.region)
                if seen.get(key) != placement:
                    seen[key] = placement
                    yield placement
            await asyncio.sleep(LOOK_SECONDS)


def _edge(edge: Edge) -> tuple[str, str]:
    return edge.region, edge.name


async def _wait(end: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await end.wait()
    except TimeoutError:
        return
