"""What signing and verifying cost of a task's CPU: how many messages a change really took, times the cost of one.

A message of tasks is signed by the gateway and verified by the region, one of reports the other way round. Their number
is read from the trace: a policy decides together about what is in one message, so that each decision stands for at
least one message of tasks to a region, and for at most one of its reports.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orbital.v1.trace_pb2 import GetTraceRequest
from orbital.v1.trace_pb2_grpc import TraceServiceStub

from gateway.settings import FlowSettings
from runtime.signatures import GATEWAY, TASKS, KeyFile, PublicKeys, Signer, make_key

# Of a task or a report in its message.
TASK_BYTES = 250
TIMES = 20
STAGES = {"dispatch": "task_messages", "decide": "report_messages"}


def cost(stub: TraceServiceStub, jobs: Iterable[str]) -> dict[str, Any]:
    """Messages of tasks and of reports, and CPU milliseconds a task for signing and verifying all of them."""
    sizes: dict[str, list[int]] = {stage: [] for stage in STAGES}
    tasks = 0
    for job in jobs:
        hops = stub.GetTrace(GetTraceRequest(correlation_id=job), timeout=60).hops
        for stage, found in sizes.items():
            counted = Counter((hop.region, hop.decision_id) for hop in hops if hop.stage == stage)
            found += [size for count in counted.values() for size in _parts(count)]
        tasks += sum(hop.stage == "dispatch" for hop in hops)
    with _signing() as sign_and_verify:
        each = {size: sign_and_verify(bytes(TASK_BYTES * size)) for found in sizes.values() for size in set(found)}
    seconds = sum(each[size] for found in sizes.values() for size in found)
    counts = {STAGES[stage]: len(found) for stage, found in sizes.items()}
    return {**counts, "cpu_ms_per_task": round(seconds * 1000 / max(tasks, 1), 5)}


def _parts(count: int) -> list[int]:
    """The sizes of the messages that so many tasks are put into."""
    whole, rest = divmod(count, FlowSettings().message_tasks)
    return [FlowSettings().message_tasks] * whole + ([rest] if rest else [])


@contextmanager
def _signing() -> Iterator[Any]:
    """What signs and verifies content as the processes do, and answers the CPU seconds that once takes."""
    keys = KeyFile(GATEWAY, (make_key(0, time.time() + 3600),))

    async def fetch() -> Mapping[str, Mapping[str, Any]]:
        return keys.public()

    async def several(signer: Signer, content: bytes) -> float:
        public = PublicKeys(fetch, time.time)
        await public.refresh()
        begun = time.thread_time()
        for _ in range(TIMES):
            await public.verify(signer.sign(TASKS, content), TASKS, GATEWAY)
        return (time.thread_time() - begun) / TIMES

    with tempfile.TemporaryDirectory(prefix="orbital-bench-") as scratch:
        file = Path(scratch, "signing.json")
        file.touch(mode=0o600)
        file.write_bytes(keys.dump())
        signer = Signer(file, time.time)
        yield lambda content: asyncio.run(several(signer, content))
