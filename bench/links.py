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
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.transit import BaoTransit
from region.ports.world import real
from runtime.openbao import Login, OpenBao, open_openbao

LINKS = 400
# As many at once as a region works on unless told otherwise.
WIDTH = 32
# What a Link writes: its fence, the System before the import, the System after it.
WRITES = 3


def measure_links(directory: Path, state: dict[str, Any], region: str, say: Say) -> dict[str, float]:
    """Tasks a second, direct calls a second, and the share; new Systems each time."""
    with open_registry(state) as stub:
        say(f"{LINKS} links …")
        tasks = _tasks(stub, region)
    say("the same calls of OpenBao, directly …")
    direct = asyncio.run(_direct(directory, state, region))
    return {
        "tasks_per_second": round(tasks, 1),
        "direct_per_second": round(direct, 1),
        "share_of_direct": round(tasks / direct, 3),
    }


def _tasks(stub: RegistryServiceStub, region: str) -> float:
    tenant = f"tenants/bench-links-{uuid.uuid4().hex[:8]}"
    systems = [Resource(name=f"{tenant}/systems/s{index}", system=SystemSpec()) for index in range(LINKS)]
    placed = Resource(name=tenant, tenant=TenantSpec(placement=Selector(regions=[region])))
    _declare(stub, [placed, *systems])
    links = [
        Resource(name=f"{tenant}/links/s{index}", link=LinkSpec(system=f"s{index}", provider="hsm", key="bench-links"))
        for index in range(LINKS)
    ]
    # The first one meets what is made once: the L1, and whatever is not warm yet.
    _declare(stub, links[:1])
    begun = time.monotonic()
    _declare(stub, links[1:])
    return (LINKS - 1) / (time.monotonic() - begun)


def _declare(stub: RegistryServiceStub, resources: list[Resource]) -> None:
    converged(stub, stub.Declare(registry.DeclareRequest(resources=resources), timeout=60).correlation_id)


async def _direct(directory: Path, state: dict[str, Any], region: str) -> float:
    secrets, name = directory / "secrets", f"openbao-{region}"
    address = f"https://127.0.0.1:{state['ports'][name]}"
    files = (directory / "identity" / "ca.pem", secrets / f"{name}-role-id", secrets / f"{name}-secret-id")
    async with open_openbao(Login(address, *files)) as openbao:
        return await _calls(openbao)


async def _calls(openbao: OpenBao) -> float:
    world = real()
    store, transit = KvStore(openbao, "keys"), BaoTransit(openbao, "l2", world)
    await transit.prepare_import()
    mark, gate = f"bench.{uuid.uuid4().hex[:8]}", asyncio.Semaphore(WIDTH)
    record = {"generation": 1, "state": "ACTIVE", "blobs": [{"version": 1, "text": "x" * 56}], "links": {"s0": 1}}

    async def one(index: int) -> None:
        async with gate:
            for written in range(WRITES):
                await store.write(f"bench/{mark}/{index}", record, written)
            await transit.import_version(f"{mark}.{index}", bytearray(world.entropy(32)), first=True)

    await one(LINKS)
    begun = time.monotonic()
    await asyncio.gather(*map(one, range(LINKS)))
    elapsed = time.monotonic() - begun
    # Nothing of it may stay: `region verify` would find it.
    for index in range(LINKS + 1):
        await transit.destroy(f"{mark}.{index}")
        await openbao.call("DELETE", f"keys/metadata/bench/{mark}/{index}")
    return LINKS / elapsed
