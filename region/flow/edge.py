"""The edges: their bundle made anew at every change of what it depends on, and what is heard of them told on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from orbital.v1 import edge_pb2
from orbital.v1 import resource_pb2 as rpb

from region.domain import edge
from region.domain.edge import DesiredBundle, EdgeLimits, EdgeReport
from region.domain.names import Kind, Name
from region.domain.usage import Usage
from region.flow.signals import Wakeup
from region.handlers.parts import Parts, read_tenant
from region.ports.edge import Bundle, BundlePacker, EdgeObserver, EdgeStore
from region.ports.host import Host
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

# Looked for even without a change.
LOOK = 5.0
# The list is told on this often while nothing changes, and never more often than that.
BEAT, LINGER = 5.0, 0.05
# An edge that was not heard for so long is gone.
FORGET = 24 * 3600.0
# Of so many Systems, the busiest, it is told how much is served.
MOST_USES = 1000
# Records read at once.
WIDTH = 8


class ServedBundle:
    """The bundle that is served now, and who waits for the next."""

    def __init__(self) -> None:
        self.bundle: Bundle | None = None
        self._next = asyncio.Event()

    def put(self, bundle: Bundle) -> None:
        """Serve this one from now on; whoever waits gets it at once."""
        self.bundle = bundle
        self._next.set()
        self._next = asyncio.Event()

    async def newer(self, etag: str, seconds: float) -> Bundle | None:
        """The bundle, once it is another than that of `etag` or the time is over; None before the first."""
        try:
            async with asyncio.timeout(seconds):
                while self.bundle is None or self.bundle.etag == etag:
                    await self._next.wait()
        except TimeoutError:
            pass
        return self.bundle


class Distribution:
    """Keeps the served at the level of what is kept."""

    def __init__(self, store: EdgeStore, packer: BundlePacker, served: ServedBundle, fleet: EdgeFleet) -> None:
        self._store = store
        self._packer = packer
        self._served = served
        self._fleet = fleet

    async def run(self) -> None:
        """Make the bundle at the start and whenever something changed."""
        while True:
            kept = await self._store.kept()
            content = edge.compiled([rpb.Resource.FromString(body) for body in kept.policies], kept.killed)
            bundle = self._packer.pack(content)
            if self._served.bundle is None or self._served.bundle.etag != bundle.etag:
                self._served.put(bundle)
                self._fleet.desire(bundle.revision)
                log.info("edge_bundle", revision=bundle.revision, policies=len(kept.policies), killed=len(kept.killed))
            await self._store.changed(LOOK)


async def recall_kills(parts: Parts) -> None:
    """Mark every killed tenant for the edges, by the tenants' own records, where the edges' database is a new one."""
    if await parts.edges.complete():
        return
    gate = asyncio.Semaphore(WIDTH)

    async def recall(tenant: str) -> None:
        async with gate:
            record, _ = await read_tenant(parts, Name(Kind.TENANT, tenant))
        if record is not None and record.killed:
            await parts.edges.kill(tenant, record.generation)

    await asyncio.gather(*(recall(tenant) for tenant in await parts.store.names("tenants")))
    await parts.edges.completed()


class EdgeFleet:
    """What the region knows of its edges."""

    def __init__(self, host: Host, limits: EdgeLimits) -> None:
        self._host = host
        self._limits = limits
        self._heard: dict[str, EdgeReport] = {}
        self._desired = DesiredBundle("", host.now())
        self.news = Wakeup()

    def desire(self, revision: str) -> None:
        """Another revision is served from now on."""
        if revision != self._desired.revision:
            self._desired = DesiredBundle(revision, self._host.now())
            self.news.give()

    def hear(self, heard: EdgeReport) -> None:
        """An edge said how it stands."""
        before = self._heard.get(heard.name)
        self._heard[heard.name] = heard
        if before is None or replace(before, at=heard.at) != heard:
            self.news.give()

    def edges(self) -> list[edge_pb2.Edge]:
        """Every edge as it stands now."""
        now = self._host.now()
        self._heard = {name: each for name, each in self._heard.items() if now - each.at < FORGET}
        return [self._edge(each, now) for _, each in sorted(self._heard.items())]

    def _edge(self, heard: EdgeReport, now: float) -> edge_pb2.Edge:
        standing = edge.standing(heard, self._desired, now, self._limits)
        found = edge_pb2.Edge(
            name=heard.name,
            revision=heard.revision,
            desired_revision=self._desired.revision,
            status=standing.status,
            reason=standing.reason,
            message=standing.message,
        )
        found.heard_at.FromNanoseconds(int(heard.at * 1e9))
        if heard.revision:
            found.since.FromNanoseconds(int(heard.since * 1e9))
        return found


class EdgeObservation:
    """Tells the gateway: at once what changed, and regularly that nothing has. The whole list each time.

    How much the region serves goes along.
    """

    def __init__(self, fleet: EdgeFleet, usage: Usage, observer: EdgeObserver, host: Host) -> None:
        self._fleet = fleet
        self._usage = usage
        self._observer = observer
        self._host = host

    async def run(self) -> None:
        """Observe until cancelled; what was not taken is said again, as it is by then."""
        backoff = Backoff(self._host.random)
        away = False
        while True:
            try:
                await self._observer.observe(self._said())
            except OrbitalError as error:
                if not away:
                    log.warning("edges_not_observed", reason=error.reason, error=error.message)
                away = True
                await asyncio.sleep(backoff.next())
                continue
            away = False
            backoff.reset()
            await self._fleet.news.wait(BEAT)
            await asyncio.sleep(LINGER)

    def _said(self) -> edge_pb2.ObserveRequest:
        now = self._host.now()
        uses = [
            edge_pb2.Use(tenant=tenant, system=system, wraps=count.wraps, unwraps=count.unwraps)
            for (tenant, system), count in self._usage.counted(now, MOST_USES)
        ]
        said = edge_pb2.ObserveRequest(edges=self._fleet.edges(), uses=uses)
        said.send_time.FromNanoseconds(int(now * 1e9))
        said.counted_since.FromNanoseconds(int(self._usage.since(now) * 1e9))
        return said
