"""What one region serves, through its Envoy and its policy: wraps a second, single and batched, and their latency.

Beside each other in one run: an empty handler by the same path, with the same policy and a body of the same size;
single wraps; batches; single wraps while the region executes a backlog of tasks; and links (bench/links.py).
What is compared is measured in turns, so that both meet the same machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import secrets
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from orbital.v1 import crypto_pb2 as crypto
from orbital.v1 import crypto_pb2_grpc
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import LinkSpec, Resource, Selector, ServiceSpec, SystemSpec, TenantSpec

from bench.links import measure_links
from bench.throughput import Say, change_labels, converged, declared_regions, open_registry
from runtime.channels import open_aio_channel
from runtime.errors import NotFound
from runtime.files import read_bytes, read_text

TENANT = "bench-crypto"
SERVICE: dict[str, Any] = {"tenant": TENANT, "system": "core", "service": "pay"}
WIDTH = 16
BATCH_WIDTH = 2
BATCH = 100
TURNS = 4
BACKLOG = 4000
# After a backlog, until what it leaves behind is done.
REST_SECONDS = 2.0


def measure(directory: Path, region: str | None, seconds: float, say: Say) -> dict[str, Any]:
    """The figures of a region of the stack in `directory`, the first one where none is named; it must be declared."""
    state = json.loads(read_text(directory / "state.json"))
    with open_registry(state) as stub:
        declared = [each.name.rpartition("/")[2] for each in declared_regions(stub)]
        region = region or declared[0]
        if region not in declared:
            raise NotFound(f"No region {region!r} is declared", reason="NO_REGION", field="region")
        answer = stub.Declare(registry.DeclareRequest(resources=_estate(region)), timeout=60)
        if answer.correlation_id:
            converged(stub, answer.correlation_id)
    figures = asyncio.run(_measure(state, region, seconds, say))
    return {**figures, "links": measure_links(directory, state, region, say)}


def _estate(region: str) -> list[Resource]:
    tenant = f"tenants/{TENANT}"
    return [
        Resource(name=tenant, tenant=TenantSpec(placement=Selector(regions=[region]))),
        Resource(name=f"{tenant}/systems/core", system=SystemSpec()),
        Resource(name=f"{tenant}/systems/core/services/pay", service=ServiceSpec()),
        Resource(name=f"{tenant}/links/core", link=LinkSpec(system="core", provider="hsm", key=TENANT)),
    ]


def _credentials(state: dict[str, Any]) -> grpc.ChannelCredentials:
    files = state["identity"]["operator"]
    return grpc.ssl_channel_credentials(*(read_bytes(Path(files[name])) for name in ("ca", "key", "cert")))


async def _measure(state: dict[str, Any], region: str, seconds: float, say: Say) -> dict[str, Any]:
    credentials = await asyncio.to_thread(_credentials, state)
    async with open_aio_channel(state["regions"][region]["crypto"], credentials) as channel:
        stub: Any = crypto_pb2_grpc.CryptoServiceStub(channel)
        single = crypto.WrapRequest(**SERVICE, plaintext=secrets.token_bytes(32))
        items = [crypto.PlainItem(plaintext=secrets.token_bytes(32)) for _ in range(BATCH)]
        packed = crypto.PlainItems(items=items).SerializeToString()
        batch = crypto.BatchWrapRequest(**SERVICE, packed=packed)
        loose = crypto.BatchWrapRequest(**SERVICE, items=items)
        made = crypto.BatchGenerateDataKeyRequest(**SERVICE, count=BATCH)
        nothing = crypto.ReachRequest(**SERVICE, padding=single.plaintext)
        await stub.Wrap(single, timeout=30)

        say("empty calls and single wraps …")
        empty = wraps = 0.0
        for _ in range(TURNS):
            empty += (await _rate(lambda: stub.Reach(nothing, timeout=30), WIDTH, seconds / TURNS))[0] / TURNS
            wraps += (await _rate(lambda: stub.Wrap(single, timeout=30), WIDTH, seconds / TURNS))[0] / TURNS
        say(f"batches of {BATCH} …")
        batches, _ = await _rate(lambda: stub.BatchWrap(batch, timeout=30), BATCH_WIDTH, seconds)
        unpacked, _ = await _rate(lambda: stub.BatchWrap(loose, timeout=30), BATCH_WIDTH, seconds)
        keys, _ = await _rate(lambda: stub.BatchGenerateDataKey(made, timeout=30), BATCH_WIDTH, seconds)
        say(f"latency, idle and beside {BACKLOG} tasks …")
        idle, loaded = await _latencies(state, region, seconds, lambda: stub.Wrap(single, timeout=30))
    return {
        "region": region,
        "empty_calls_per_second": round(empty, 1),
        "wraps_per_second": round(wraps, 1),
        "share_of_empty": round(wraps / empty, 3),
        "batched_wraps_per_second": round(batches * BATCH, 1),
        "batched_unpacked_wraps_per_second": round(unpacked * BATCH, 1),
        "batched_data_keys_per_second": round(keys * BATCH, 1),
        "latency_ms": {"idle": _spread(idle), "backlog": _spread(loaded)},
    }


async def _rate(call: Callable[[], Awaitable[object]], width: int, seconds: float) -> tuple[float, list[float]]:
    """(calls a second, seconds of each) with so many in flight."""
    ends, spent = time.monotonic() + seconds, list[float]()

    async def caller() -> None:
        while (begun := time.monotonic()) < ends:
            await call()
            spent.append(time.monotonic() - begun)

    begun = time.monotonic()
    await asyncio.gather(*(caller() for _ in range(width)))
    return len(spent) / (time.monotonic() - begun), spent


async def _latencies(
    state: dict[str, Any], region: str, seconds: float, call: Callable[[], Awaitable[object]]
) -> tuple[list[float], list[float]]:
    """Seconds of each call, one in flight: at rest, and while a backlog comes to the region and is executed."""
    idle, loaded = list[float](), list[float]()
    loop = asyncio.get_running_loop()
    # In a process of its own: the caller whose time is taken must not wait for whoever declares.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        await loop.run_in_executor(other, _work, state, region)
        for _ in range(TURNS):
            await asyncio.sleep(REST_SECONDS)
            idle += (await _rate(call, 1, seconds))[1]
            backlog = loop.run_in_executor(other, _work, state, region)
            while not backlog.done():
                begun = time.monotonic()
                await call()
                loaded.append(time.monotonic() - begun)
            await backlog
    return idle, loaded


def _work(state: dict[str, Any], region: str) -> None:
    try:
        with open_registry(state) as stub:
            change_labels(stub, [region], BACKLOG, uuid.uuid4().hex)
    except grpc.RpcError as error:
        # It has to reach another process, and an error of gRPC cannot.
        raise RuntimeError(str(error)) from None


def _spread(spent: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(spent) * 1000, 2),
        "p99": round(statistics.quantiles(spent, n=100)[98] * 1000, 2),
    }
