"""Tasks a second through every hop and decision, CPU a task by process, and idle intent → converged latency.

Tasks are `SYNC_METADATA`: N durable ones, made by changing a label of N ÷ regions tenants that are in every region.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import Resource, Selector, TenantSpec
from orbital.v1.trace_pb2_grpc import TraceServiceStub

from bench.processes import cpu_seconds
from bench.signatures import cost as cost_of_signatures
from runtime.channels import open_channel
from runtime.errors import NotFound, Precondition, Unavailable
from runtime.files import read_bytes, read_text

LATENCY_SAMPLES = 100
# Resources a declaration: the API takes 5,000.
DECLARED_AT_ONCE = 2500
PATIENCE_SECONDS = 600.0
Say = Callable[[str], None]


def measure(directory: Path, tasks: int, say: Say) -> dict[str, Any]:
    """The figures of the stack in `directory`, whose regions must be declared."""
    state = json.loads(read_text(directory / "state.json"))
    with open_gateway(state) as channel:
        stub = RegistryServiceStub(channel)
        regions = [region.name.rpartition("/")[2] for region in declared_regions(stub)]
        tenants = max(tasks // len(regions), 1)
        say(f"{tenants} tenants in {len(regions)} regions …")
        change_labels(stub, regions, tenants, "prepared")
        say("idle latency …")
        latency = idle_latency(stub, regions, LATENCY_SAMPLES)
        say(f"{tenants * len(regions)} tasks …")
        before = cpu_seconds(state)
        begun = time.monotonic()
        jobs = change_labels(stub, regions, tenants, uuid.uuid4().hex)
        elapsed = time.monotonic() - begun
        after = cpu_seconds(state)
        signatures = cost_of_signatures(TraceServiceStub(channel), jobs)
    count = tenants * len(regions)
    cost = {name: (after[name] - before.get(name, 0.0)) * 1000 / count for name in after}
    total = sum(cost.values())
    signatures["share"] = round(signatures["cpu_ms_per_task"] / total, 4)
    return {
        "tasks": count,
        "tasks_per_second": round(count / elapsed, 1),
        "cpu_ms_per_task": {
            "total": round(total, 4),
            **{name: round(value, 4) for name, value in sorted(cost.items(), key=lambda item: -item[1])},
        },
        "signatures": signatures,
        "latency_ms": latency,
    }


@contextmanager
def open_registry(state: dict[str, Any]) -> Iterator[RegistryServiceStub]:
    """The registry, as the operator."""
    with open_gateway(state) as channel:
        yield RegistryServiceStub(channel)


@contextmanager
def open_gateway(state: dict[str, Any]) -> Iterator[grpc.Channel]:
    """A channel to the gateway, as the operator."""
    files = state["identity"]["operator"]
    credentials = grpc.ssl_channel_credentials(*(read_bytes(Path(files[name])) for name in ("ca", "key", "cert")))
    with open_channel(state["gateway"]["mtls"], credentials) as channel:
        yield channel


def _tenant(index: int, regions: list[str], mark: str) -> Resource:
    # A tenant stays where it was declared: those of one region are others than those of all.
    family = "bench" if len(regions) > 1 else f"bench-{regions[0]}"
    spec = TenantSpec(display_name=f"Bench {index}", placement=Selector(regions=regions))
    return Resource(name=f"tenants/{family}-{index:06}", labels={"mark": mark}, tenant=spec)


def declared_regions(stub: RegistryServiceStub) -> list[Resource]:
    """Those of the stack; raises NotFound when there is none."""
    found = [region.resource for region in stub.ListRegions(registry.ListRegionsRequest(), timeout=30).regions]
    if not found:
        raise NotFound(
            "No region is declared; `orbital apply -f examples/estate.yaml` declares some", reason="NO_REGION"
        )
    return found


def change_labels(stub: RegistryServiceStub, regions: list[str], tenants: int, mark: str) -> list[str]:
    """Declare a label of so many tenants, and return the changes when every region has them."""
    jobs: list[str] = []
    for start in range(0, tenants, DECLARED_AT_ONCE):
        part = range(start, min(start + DECLARED_AT_ONCE, tenants))
        request = registry.DeclareRequest(resources=[_tenant(index, regions, mark) for index in part])
        jobs.append(stub.Declare(request, timeout=PATIENCE_SECONDS).correlation_id)
    changes = [job for job in jobs if job]
    for job in changes:
        converged(stub, job)
    return changes


def converged(stub: RegistryServiceStub, correlation_id: str) -> None:
    """Return when that change has converged; raises Precondition when it was superseded, which measures nothing."""
    watch = stub.WatchJob(registry.WatchJobRequest(correlation_id=correlation_id), timeout=PATIENCE_SECONDS)
    for job in watch:
        if job.HasField("converge_time"):
            return
        if job.HasField("end_time"):
            raise Precondition(f"The change {correlation_id} was superseded while it was measured", reason="SUPERSEDED")
    raise Unavailable(f"The change {correlation_id} was not followed to its end", reason="NOT_CONVERGED")


def idle_latency(stub: RegistryServiceStub, regions: list[str], samples: int) -> dict[str, float]:
    """Milliseconds of so many changes, one after the other: p50 and p99."""
    found = [_latency(stub, regions, index) for index in range(samples)]
    return {
        "p50": round(statistics.median(found) * 1000, 2),
        "p99": round(statistics.quantiles(found, n=100)[98] * 1000, 2),
    }


def _latency(stub: RegistryServiceStub, regions: list[str], index: int) -> float:
    """Seconds from the click until the last region's report is stored and the caller knows it."""
    begun = time.monotonic()
    request = registry.DeclareRequest(resources=[_tenant(0, regions, f"latency-{index}-{uuid.uuid4().hex[:8]}")])
    converged(stub, stub.Declare(request, timeout=30).correlation_id)
    return time.monotonic() - begun
