"""Tasks that come by one path or another: how tests change it, load it, and see that each effect happened once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

import aiormq

from bench.paths import declare
from gateway.adapters.rabbitmq.topology import session_name
from tests.system.conftest import region as declared_region
from tests.system.test_broker_policy import broker_context, url
from tests.system.world import REGIONS, World, eventually, retried, tenancy

# Nothing of an earlier run on the same stack has this in its name.
RUN = uuid.uuid4().hex[:6]
SETTLED_SECONDS = 300
PAUSE = 1.0


def named(name: str) -> str:
    """The name of a tenant of this run."""
    return f"{name}-{RUN}"


def switch(world: World, transport: str) -> None:
    """Declare the path of both regions, and return when all of their lanes use it."""

    def declared() -> bool:
        with world.registry() as stub:
            declare(stub, world.place, [declared_region(name) for name in REGIONS], transport)
        return True

    retried(declared)


@contextmanager
def by(world: World, transport: str) -> Iterator[None]:
    """This path inside the block, and the stream after it."""
    switch(world, transport)
    try:
        yield
    finally:
        switch(world, "stream")


def declare_many(world: World, prefix: str, count: int, pause: float = 0.0) -> list[str]:
    """Declare so many tenants; gives their names."""
    tenants = [named(f"{prefix}-{number}") for number in range(count)]
    for tenant in tenants:
        world.declare(tenancy(tenant, services=1))
        time.sleep(pause)
    return tenants


@contextmanager
def under_load(world: World, prefix: str) -> Iterator[list[str]]:
    """New tenants, and changes to those that there are, all the while; gives the names of those that there are so far.

    Lane 1 carries the first and lane 2 the second. Afterwards all of it has converged, and each effect happened once.
    """
    tenants: list[str] = []
    over = threading.Event()
    failures: list[BaseException] = []

    def load() -> None:
        try:
            while not over.wait(PAUSE):
                world.declare(tenancy(named(f"{prefix}-{len(tenants)}"), services=1))
                tenants.append(named(f"{prefix}-{len(tenants)}"))
                world.declare(tenancy(tenants[len(tenants) // 2], services=1, step=f"at-{time.monotonic_ns()}"))
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=load, name="load")
    thread.start()
    try:
        yield tenants
    finally:
        over.set()
        thread.join()
    assert failures == []
    assert tenants
    all_converged(world, tenants)


def all_converged(world: World, tenants: Iterable[str]) -> None:
    """Wait until all of it is done in every region, and see that each effect happened once and nothing is left."""
    tenants = list(tenants)
    for tenant in tenants:
        world.converged(tenant=tenant, seconds=SETTLED_SECONDS)
    for region in REGIONS:
        for tenant in tenants:
            assert world.key_material(region, tenant) == {
                "transit": [f"{tenant}.s0"],
                "systems": ["s0"],
                "services": ["s0/v0"],
                "links": ["s0"],
            }
        made = imports(world, region)
        assert {tenant: made[f"{tenant}.s0"] for tenant in tenants} == dict.fromkeys(tenants, 1), region
        eventually(lambda region=region: not unsettled(world, region, tenants) or None, 30, f"{region} has done all")


def imports(world: World, region: str) -> Counter[str]:
    """How often material came into each transit key of the region, by its OpenBao's own audit log."""
    made: Counter[str] = Counter()
    with (world.place / "log" / f"openbao-{region}-audit.jsonl").open() as log:
        for line in log:
            if "/import" not in line or RUN not in line:
                continue
            entry = json.loads(line)
            parts = entry["request"]["path"].split("/")
            if entry["type"] == "response" and parts[-1] == "import" and not entry.get("error"):
                made[parts[-2]] += 1
    return made


def unsettled(world: World, region: str, tenants: Iterable[str]) -> list[str]:
    """Of which resources of these tenants the region has a task in its journal that is not done."""
    found = []
    for part in ("immediate", "bulk"):
        place = world.place / f"region-{region}" / f"{part}.db"
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as journal:
            found += [name for (name,) in journal.execute("SELECT resource FROM tasks WHERE settled = 0")]
    return [name for name in found if name.split("/")[1] in set(tenants)]


def dead_letters(world: World) -> list[str]:
    """Of which an honest run makes none."""
    found = json.loads(world.orbital("get", "deadletters", "-o", "json").stdout)
    return [str(row["id"]) for row in found]


def kill(world: World, tenant: str) -> str:
    """Revoke the tenant; gives the correlation ID."""
    said = world.orbital("kill", tenant, "--reason", "test", "--yes", "-o", "json")
    assert said.returncode == 0, said.stderr
    return str(json.loads(said.stdout)["correlation_id"])


def revoked(world: World, region: str, tenant: str) -> None:
    """Wait until the region has no active key of the tenant."""
    eventually(lambda: not world.key_material(region, tenant)["transit"] or None, 30, f"revoked in {region}")


def converges_and_is_revoked(world: World, prefix: str, count: int) -> None:
    """New tenants reach every region, and so does a kill of the first; nothing becomes a dead letter."""
    before = dead_letters(world)
    tenants = declare_many(world, prefix, count)
    all_converged(world, tenants)
    kill(world, tenants[0])
    for region in REGIONS:
        revoked(world, region, tenants[0])
    assert dead_letters(world) == before


def sessions_lost(world: World, region: str, lane: int = 1) -> int:
    """How often the gateway was told that the broker lost the MQTT session of the lane; new ones count too."""
    log = (world.place / "log" / "gateway-bulk.log").read_text()
    return log.count(f'"region": "{region}", "lane": {lane}, "event": "session lost"')


def forget_sessions(world: World, region: str) -> None:
    """What the broker keeps for a region by MQTT is gone, as after a week or a broker without its disk."""

    async def forget() -> None:
        connection = await aiormq.connect(url(world), context=broker_context(world, region))
        channel = await connection.channel()
        for lane in (1, 2):
            await channel.queue_delete(session_name(region, lane))
        await connection.close()

    asyncio.run(forget())
