"""A region's processes stand still in the middle of what they do, others go on, and they wake up: nothing comes back,
and nothing is taken again.
"""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import WrapRequest

from stack import api
from tests.system.flags import Record
from tests.system.world import REGIONS, SECONDS, World, eventually, retried, tenancy

SYSTEMS = 12
# What a process that wakes up has begun, it has ended by then.
WATCHED = 15.0


@contextmanager
def standing_still(world: World, role: str) -> Iterator[None]:
    """The processes of that role of every region stand still inside the block."""
    parts = [f"region-{region}-{role}" for region in REGIONS]
    for part in parts:
        api.kill(world.place, part, signal.SIGSTOP)
    try:
        yield
    finally:
        for part in parts:
            api.kill(world.place, part, signal.SIGCONT)


def in_transit(world: World, tenant: str) -> dict[str, list[str]]:
    return {region: world.key_material(region, tenant)["transit"] for region in REGIONS}


def some(world: World, tenant: str) -> bool | None:
    """Once the first of its keys are in transit, and before all are."""
    return True if any(in_transit(world, tenant).values()) else None


def test_links_that_stood_still_bring_no_key_of_a_killed_tenant(world: World, measured: Record) -> None:
    tenant = f"frozen-{uuid.uuid4().hex[:6]}"
    world.declare(tenancy(tenant, SYSTEMS, 1))
    eventually(lambda: some(world, tenant), 60, "the first keys are in transit")
    with standing_still(world, "bulk"):
        with world.registry() as stub:
            retried(lambda: stub.Kill(registry.KillRequest(tenant=tenant, reason="breach"), timeout=SECONDS))
        began = time.monotonic()
        gone = {region: [] for region in REGIONS}
        eventually(lambda: True if in_transit(world, tenant) == gone else None, 60, "no key is in transit")
        measured("killed while the others stood still", time.monotonic() - began)
    woke = time.monotonic()
    while time.monotonic() - woke < WATCHED:
        assert in_transit(world, tenant) == gone, f"{time.monotonic() - woke:.1f} s after they woke up"
        time.sleep(0.2)
    world.converged(tenant=tenant)
    assert in_transit(world, tenant) == gone


def test_a_kill_that_stood_still_takes_no_key_of_a_restored_tenant(world: World) -> None:
    tenant = f"thawed-{uuid.uuid4().hex[:6]}"
    world.declare(tenancy(tenant, SYSTEMS, 1))
    world.converged(tenant=tenant)
    with world.registry() as stub:
        retried(lambda: stub.Kill(registry.KillRequest(tenant=tenant, reason="breach"), timeout=SECONDS))
    time.sleep(0.3)
    with standing_still(world, "immediate"):
        asked = world.orbital("restore", tenant, "--reason", "false alarm", "-o", "json")
        assert asked.returncode == 0, asked.stderr
        said = json.loads(asked.stdout)
        request = said[0] if isinstance(said, list) else said
        done = world.orbital("approve", request["id"], "--yes", "--as", "officer")
        assert done.returncode == 0, done.stderr
        time.sleep(10.0)
    every = {region: [f"{tenant}.s{system}" for system in range(SYSTEMS)] for region in REGIONS}
    every = {region: sorted(names) for region, names in every.items()}
    world.converged(tenant=tenant)
    eventually(lambda: True if in_transit(world, tenant) == every else None, 60, "every key is in transit")
    woke = time.monotonic()
    while time.monotonic() - woke < WATCHED:
        assert in_transit(world, tenant) == every
        time.sleep(0.2)
    for region in REGIONS:
        with world.crypto(region) as stub:
            for system in range(SYSTEMS):
                wrap = WrapRequest(tenant=tenant, system=f"s{system}", service="v0", plaintext=b"L4")
                assert retried(lambda stub=stub, wrap=wrap: stub.Wrap(wrap, timeout=SECONDS)).ciphertext
    said = world.orbital("region", "verify", "eu10")
    assert tenant.encode() not in said.stdout
