"""What people do and what breaks, in an order drawn from the seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from orbital.v1 import registry_pb2 as registry
from orbital.v1.approval_pb2 import AskApprovalRequest
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, Selector, ServiceSpec, SystemSpec, TenantSpec

from gateway.ports.serving import Caller
from runtime.errors import Conflict, OrbitalError, Unavailable
from tests.simulation.fleet import LANES, Fleet, Site
from tests.simulation.process import Died

OPERATOR = Caller("spiffe://orbital/person/operator", "decision")
OFFICER = Caller("spiffe://orbital/person/officer", "decision")


@dataclass
class Tenant:
    """A tenant as its people know it: what they asked for last, and was accepted."""

    name: str
    regions: list[str]
    version: int = 1
    compromised: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    linked: bool = True
    killed: bool = False
    retired: bool = False
    # The changes that revoke, and are not taken back since.
    revoking: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether its keys are to be served."""
        return self.linked and not self.killed and not self.retired

    def resources(self) -> list[Resource]:
        """Its declaration."""
        name = f"tenants/{self.name}"
        state = LinkState.LINK_STATE_LINKED if self.linked else LinkState.LINK_STATE_UNLINKED
        system = SystemSpec(key_version=self.version, key_compromised_below=self.compromised)
        link = LinkSpec(system="s0", provider="hsm", key=f"{self.name}-root", state=state)
        return [
            Resource(name=name, labels=self.labels, tenant=TenantSpec(placement=Selector(regions=self.regions))),
            Resource(name=f"{name}/systems/s0", labels=self.labels, system=system),
            Resource(name=f"{name}/systems/s0/services/v0", labels=self.labels, service=ServiceSpec()),
            Resource(name=f"{name}/links/s0", labels=self.labels, link=link),
        ]


class People:
    """Whoever changes desired state; a call that is not answered is made again, until it is."""

    def __init__(self, fleet: Fleet, tenants: int) -> None:
        self.fleet = fleet
        self.random = fleet.random
        regions = list(fleet.sites)
        self.tenants = [
            Tenant(f"t{number}", sorted(self.random.sample(regions, self.random.randint(1, len(regions)))))
            for number in range(tenants)
        ]
        self._requests = 0
        # The changes that were accepted.
        self.answered: set[str] = set()
        # What a declaration changed without naming it.
        self.unnamed: set[str] = set()

    async def again(self, what: str, call: Callable[[str], Awaitable[Any]]) -> Any:
        """The answer, however often it has to be asked; "" is refused."""
        self._requests += 1
        request_id = f"request-{self._requests}"
        while True:
            try:
                answer = await call(request_id)
            except (Unavailable, Died):
                await asyncio.sleep(self.random.uniform(0.1, 1.0))
                continue
            except Conflict as error:
                if error.reason == "ALREADY_ASKED":
                    return None
                await asyncio.sleep(0.1)
                continue
            except OrbitalError as error:
                self.fleet.tell(f"refused  {what}: {error.message}")
                return None
            self.fleet.tell(f"accepted {what}")
            self.answered.update(filter(None, [getattr(answer, "correlation_id", "")]))
            return answer

    async def regions(self) -> None:
        """Declare them."""
        found = [Resource(name=f"regions/{name}", region={"area": "x"}) for name in self.fleet.sites]  # type: ignore[arg-type]
        await self._declare("regions", found)

    async def _declare(self, what: str, resources: list[Resource]) -> str:
        def call(request_id: str) -> Awaitable[Any]:
            request = registry.DeclareRequest(resources=resources, request_id=request_id)
            return self.fleet.desired.declare(request, OPERATOR)

        answer = await self.again(what, call)
        if answer is None:
            return ""
        self.unnamed |= {one.name for one in answer.changes} - {one.name for one in resources}
        return str(answer.correlation_id)

    async def declare(self, tenant: Tenant, what: str) -> str:
        """Its declaration, as it is meant now."""
        return await self._declare(f"{what} of {tenant.name}", tenant.resources())

    async def act(self) -> None:
        """One change of one tenant."""
        tenant = self.random.choice(self.tenants)
        if tenant.retired:
            return
        acts: list[Callable[[Tenant], Awaitable[None]]] = [self._label, self._label, self._rotate, self._emergency]
        acts += [self._restore] * 3 if tenant.killed else [self._kill, self._kill, self._link, self._link]
        if self.random.random() < 0.08:
            acts = [self._retire]
        await self.random.choice(acts)(tenant)

    async def _label(self, tenant: Tenant) -> None:
        tenant.labels = {"step": str(self._requests)}
        # What is not named in a declaration stays as it is.
        named = tenant.resources() if self._requests % 2 else tenant.resources()[:1]
        await self._declare(f"label of {tenant.name}", named)

    async def _rotate(self, tenant: Tenant) -> None:
        if tenant.version < 6:
            tenant.version += 1
            await self.declare(tenant, "rotation")

    async def _emergency(self, tenant: Tenant) -> None:
        if tenant.version < 6:
            tenant.version += 1
            tenant.compromised = tenant.version
            await self.declare(tenant, "emergency rotation")

    async def _link(self, tenant: Tenant) -> None:
        tenant.linked = not tenant.linked
        identity = await self.declare(tenant, "link" if tenant.linked else "unlink")
        tenant.revoking = [] if tenant.linked else [identity]

    async def _kill(self, tenant: Tenant) -> None:
        def call(request_id: str) -> Awaitable[Any]:
            request = registry.KillRequest(tenant=tenant.name, reason="why", request_id=request_id)
            return self.fleet.desired.kill(request, OPERATOR)

        tenant.killed = True
        answer = await self.again(f"kill of {tenant.name}", call)
        tenant.revoking.append(answer.correlation_id)
        # Its Links are unlinked with it; a later declaration may not link them.
        tenant.linked = False

    async def _restore(self, tenant: Tenant) -> None:
        identity = self.fleet.new_id()
        caller = Caller(OPERATOR.principal, "decision", identity)
        asked = await self.again(
            f"ask to restore {tenant.name}",
            lambda _: self.fleet.approvals.ask(AskApprovalRequest(restore_tenant=tenant.name, reason="why"), caller),
        )
        if asked is None:
            return
        before = set(asked.restoration.links)
        tenant.revoking = []
        tenant.killed = False
        approved = await self.again(f"restore {tenant.name}", lambda _: self.fleet.approvals.approve(asked.id, OFFICER))
        if approved is not None:
            tenant.linked = bool(before)

    async def _retire(self, tenant: Tenant) -> None:
        def call(request_id: str) -> Awaitable[Any]:
            request = registry.RetireRequest(names=[f"tenants/{tenant.name}"], reason="why", request_id=request_id)
            return self.fleet.desired.retire(request, OPERATOR)

        tenant.retired = True
        answer = await self.again(f"retirement of {tenant.name}", call)
        if answer is not None:
            tenant.revoking.append(answer.correlation_id)


class Trouble:
    """What breaks, and is mended again."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.random = fleet.random
        self._open: list[asyncio.Task[None]] = []

    def _for(self, least: float, most: float) -> Awaitable[None]:
        return asyncio.sleep(self.random.uniform(least, most))

    def happen(self) -> None:
        """Something breaks, for a while."""
        kinds = (self._crash, self._crash, self._freeze, self._cut, self._break, self._broker, self._store, self._seal,
                 self._lossy, self._gateway, self._mortal)  # fmt: skip
        self._open.append(asyncio.ensure_future(self.random.choice(kinds)()))

    def _site(self) -> Site:
        return self.random.choice(list(self.fleet.sites.values()))

    async def _crash(self) -> None:
        site, role = self._site(), self.random.choice(list(LANES))
        self.fleet.tell(f"crash    {site.name}-{role}")
        process = site.processes[role]
        process.crash()
        await self._for(0.1, 3)
        # Somebody else may have started it meanwhile; two would be at odds over its journal.
        if site.processes[role] is process:
            self.fleet.start_region(site, role)

    async def _freeze(self) -> None:
        site, role = self._site(), self.random.choice(list(LANES))
        process = site.processes[role]
        self.fleet.tell(f"freeze   {process.name}")
        process.freeze()
        await self._for(0.3, 20)
        self.fleet.tell(f"thaw     {process.name}")
        process.thaw()

    async def _cut(self) -> None:
        site = self._site()
        self.fleet.tell(f"cut      {site.name}")
        for link in site.links.values():
            link.cut()
        await self._for(1, 20)
        for link in site.links.values():
            link.heal()
        self.fleet.tell(f"heal     {site.name}")

    async def _break(self) -> None:
        site = self._site()
        for link in site.links.values():
            link.break_streams()

    async def _broker(self) -> None:
        empty = self.random.random() < 0.3
        self.fleet.tell(f"broker   down{', and emptied' if empty else ''}")
        self.fleet.broker.fail()
        await self._for(0.2, 8)
        self.fleet.broker.recover(empty=empty)
        self.fleet.tell("broker   back")

    async def _store(self) -> None:
        self.fleet.tell("store    away")
        self.fleet.store.away = True
        await self._for(0.1, 4)
        self.fleet.store.away = False
        self.fleet.tell("store    back")

    async def _seal(self) -> None:
        site = self._site()
        self.fleet.tell(f"seal     {site.name}")
        site.sealed = True
        await self._for(0.5, 10)
        site.sealed = False
        self.fleet.tell(f"unseal   {site.name}")

    async def _lossy(self) -> None:
        network = self.random.choice([site.network for site in self.fleet.sites.values()])
        network.lost_request = network.lost_answer = 0.05
        await self._for(1, 10)
        network.lost_request = network.lost_answer = 0.0

    async def _gateway(self) -> None:
        role = self.random.choice(list(LANES))
        self.fleet.tell(f"crash    gateway-{role}")
        self.fleet.gateways[role].crash()
        await self._for(0.1, 3)
        self.fleet.start_gateway(role)

    async def _mortal(self) -> None:
        """Some process dies within its next calls, wherever that is."""
        site, role = self._site(), self.random.choice(list(LANES))
        process = site.processes[role]
        process.mortality = 0.05
        for _ in range(200):
            await asyncio.sleep(0.05)
            if process.over:
                self.fleet.tell(f"died     {process.name}")
                await self._for(0.1, 2)
                break
        process.mortality = 0.0
        if process.over and site.processes[role] is process:
            self.fleet.start_region(site, role)

    async def clocks(self, seed: int) -> None:
        """Somebody sets a region's clock, by hours as well, and sets it right again; by a chance of its own."""
        chance = random.Random(f"clocks {seed}")
        while True:
            await asyncio.sleep(chance.uniform(1, 8))
            site = chance.choice(list(self.fleet.sites.values()))
            seconds = chance.choice((-7200.0, -30.0, 30.0, 7200.0))
            self.fleet.tell(f"clock    {site.name} {seconds:+.0f} s")
            before = {process: process.clock for process in site.processes.values()}
            for process in before:
                process.clock += seconds
            try:
                await asyncio.sleep(chance.uniform(1, 12))
            finally:
                for process, clock in before.items():
                    process.clock = clock
                self.fleet.tell(f"clock    {site.name} right")

    async def end(self) -> None:
        """Wait until all is mended."""
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._open)
        for site in self.fleet.sites.values():
            for role in LANES:
                if site.processes[role].over:
                    self.fleet.start_region(site, role)
        for role in LANES:
            if self.fleet.gateways[role].over:
                self.fleet.start_gateway(role)
