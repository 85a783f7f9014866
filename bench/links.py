"""LINK_KEY: tasks a second from the declaration to the report.

Beside them what the region's OpenBao does when the same import and check-and-set writes are called directly.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import LinkSpec, Resource, Selector, SystemSpec, TenantSpec

from bench.throughput import Say, converged, open_registry
from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.transit import BaoTransit
from region.ports.host import real_host
from runtime.openbao import Login, OpenBao, open_openbao

LINKS = 200
TURNS = 4
# As many at once as a region works on unless told otherwise.
WIDTH = 32
# What a Link writes: its fence, the System before the import, the System after it.
WRITES = 3


def measure_links(directory: Path, state: dict[str, Any], region: str, say: Say) -> dict[str, float]:
    """Tasks a second, direct calls a second, and the share; new Systems each time."""
    return asyncio.run(_measure(directory, state, region, say))


async def _measure(directory: Path, state: dict[str, Any], region: str, say: Say) -> dict[str, float]:
    say(f"{TURNS} times {LINKS} links, and the same calls of OpenBao directly …")
    tasks = direct = 0.0
    async with open_openbao(_login(directory, state, region)) as openbao:
        calls = Direct(openbao)
        await calls.make(1)
        # In turns, so that both meet the same machine.
        for _ in range(TURNS):
            tasks += await asyncio.to_thread(_tasks, state, region)
            direct += await calls.make(LINKS)
        await calls.clean()
    return {
        "tasks_per_second": round(TURNS * LINKS / tasks, 1),
        "direct_per_second": round(TURNS * LINKS / direct, 1),
        "share_of_direct": round(direct / tasks, 3),
    }


def _tasks(state: dict[str, Any], region: str) -> float:
    """Seconds of so many Links, from the declaration to the last report."""
    tenant = f"tenants/bench-links-{uuid.uuid4().hex[:8]}"
    systems = [Resource(name=f"{tenant}/systems/s{index}", system=SystemSpec()) for index in range(LINKS + 1)]
    placed = Resource(name=tenant, tenant=TenantSpec(placement=Selector(regions=[region])))
    key = tenant.rpartition("/")[2]
    links = [
        Resource(name=f"{tenant}/links/s{index}", link=LinkSpec(system=f"s{index}", provider="hsm", key=key))
        for index in range(LINKS + 1)
    ]
    with open_registry(state) as stub:
        _declare(stub, [placed, *systems])
        # The first one meets what is made once: the L1, and whatever is not warm yet.
        _declare(stub, links[:1])
        begun = time.monotonic()
        _declare(stub, links[1:])
        return time.monotonic() - begun


def _declare(stub: RegistryServiceStub, resources: list[Resource]) -> None:
    converged(stub, stub.Declare(registry.DeclareRequest(resources=resources), timeout=60).correlation_id)


def _login(directory: Path, state: dict[str, Any], region: str) -> Login:
    secrets, name = directory / "secrets", f"openbao-{region}"
    address = f"https://127.0.0.1:{state['ports'][name]}"
    return Login(address, directory / "identity" / "ca.pem", secrets / f"{name}-role-id", secrets / f"{name}-secret-id")


class Direct:
    """The writes and the import of a Link, without anything that decides, fences or reports."""

    def __init__(self, openbao: OpenBao) -> None:
        self._openbao = openbao
        self._world = real_host()
        self._store, self._transit = KvStore(openbao, "keys"), BaoTransit(openbao, "l2", self._world)
        self._permits = BaoPermits(openbao)
        self._mark, self._made = f"bench.{uuid.uuid4().hex[:8]}", 0

    async def make(self, count: int) -> float:
        """Seconds of so many."""
        await self._transit.prepare_import()
        gate = asyncio.Semaphore(WIDTH)

        async def one(index: int) -> None:
            async with gate:
                await self._one(index)

        first, self._made = self._made, self._made + count
        begun = time.monotonic()
        await asyncio.gather(*(one(index) for index in range(first, self._made)))
        return time.monotonic() - begun

    async def _one(self, index: int) -> None:
        record = {"generation": 1, "state": "ACTIVE", "blobs": [{"version": 1, "text": "x" * 56}], "links": {"s0": 1}}
        for written in range(WRITES):
            await self._store.write(f"bench/{self._mark}/{index}", record, written)
        material = bytearray(self._world.entropy(32))
        permit = await self._permits.take()
        await self._transit.import_version(f"{self._mark}.{index}", material, permit, first=True)
        self._permits.give_back(permit)

    async def clean(self) -> None:
        """Nothing of it may stay: `region verify` would find it."""
        permit = await self._permits.take()
        for index in range(self._made):
            await self._transit.destroy(f"{self._mark}.{index}", permit)
            await self._openbao.call("DELETE", f"keys/metadata/bench/{self._mark}/{index}")
