"""Tasks a second and idle latency by each path that tasks can take to their regions, in one run.

The regions of a local stack are declared with one path after the other, and get theirs back at the end.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import Resource, Transport

from bench.throughput import Say, change_labels, declared_regions, idle_latency, open_registry
from runtime.errors import Precondition, Unavailable
from runtime.files import read_text

PATHS = {
    "stream": Transport.TRANSPORT_STREAM,
    "amqp": Transport.TRANSPORT_AMQP,
    "mqtt": Transport.TRANSPORT_MQTT,
}
# What a region's process of lanes 1 and 2 says when it begins to use a path, of each lane or of both.
SAID = {"stream": ("transport_changed", 1), "amqp": ("inlet_opened", 2), "mqtt": ("inlet_opened", 2)}
SWITCH_SECONDS = 30.0
# Short changes before the first that is measured, so that none pays for what happens once.
WARM = 5


def measure(directory: Path, tasks: int, samples: int, say: Say) -> dict[str, Any]:
    """The figures of the stack in `directory`, whose regions must be declared."""
    state = json.loads(read_text(directory / "state.json"))
    with open_registry(state) as stub:
        regions = declared_regions(stub)
        names = [region.name.rpartition("/")[2] for region in regions]
        if absent := [name for name in names if name not in state["regions"]]:
            raise Precondition(f"{', '.join(absent)} is declared and does not run in this stack", reason="NOT_RUNNING")
        tenants = max(tasks // len(names), 1)
        answer: dict[str, Any] = {"tasks": tenants * len(names), "paths": {}}
        try:
            for path in PATHS:
                say(f"{path} …")
                declare(stub, directory, regions, path)
                answer["paths"][path] = _figures(stub, names, tenants, samples)
        finally:
            stub.Declare(registry.DeclareRequest(resources=[_plain(region) for region in regions]), timeout=30)
    return answer


def _figures(stub: RegistryServiceStub, regions: list[str], tenants: int, samples: int) -> dict[str, Any]:
    change_labels(stub, regions, tenants, uuid.uuid4().hex)
    idle_latency(stub, regions, WARM)
    latency = idle_latency(stub, regions, samples)
    begun = time.monotonic()
    change_labels(stub, regions, tenants, uuid.uuid4().hex)
    return {
        "tasks_per_second": round(tenants * len(regions) / (time.monotonic() - begun), 1),
        "latency_ms": latency,
    }


def declare(stub: RegistryServiceStub, directory: Path, regions: Sequence[Resource], path: str) -> None:
    """Have the regions' tasks come by this path; returns when lanes 1 and 2 of all of them do."""
    wanted = [_plain(region) for region in regions]
    for region in wanted:
        region.region.transport = PATHS[path]
    found = stub.ListRegions(registry.ListRegionsRequest(), timeout=30).regions
    now = {region.resource.name: region.resource.region.transport for region in found}
    # A region without a path, or one that is new, has the stream.
    changed = [region.name for region in wanted if (now.get(region.name) or PATHS["stream"]) != PATHS[path]]
    names = [name.rpartition("/")[2] for name in changed]
    before = {name: begun(directory, name, path) for name in names}
    stub.Declare(registry.DeclareRequest(resources=wanted), timeout=30)
    deadline = time.monotonic() + SWITCH_SECONDS
    while late := [name for name in names if begun(directory, name, path) < before[name] + SAID[path][1]]:
        if time.monotonic() > deadline:
            raise Unavailable(f"{', '.join(late)} did not change to {path}", reason="NOT_CHANGED")
        time.sleep(0.1)


def begun(directory: Path, region: str, path: str) -> int:
    """How often the region's lanes 1 and 2 have begun to use this path."""
    said = f'"transport": "{Transport.Name(PATHS[path])}", "event": "{SAID[path][0]}"'
    return read_text(directory / "log" / f"region-{region}-bulk.log").count(said)


def _plain(region: Resource) -> Resource:
    """As it was declared, without what only an answer says."""
    return Resource(name=region.name, labels=region.labels, region=region.region)
