"""A trace is bounded in tasks and in bytes, and says when it was cut."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from orbital.v1.registry_pb2 import TaskState
from orbital.v1.task_pb2 import TaskKind
from orbital.v1.trace_pb2 import GetTraceRequest

from gateway.adapters.rpc.trace import TraceRpc
from gateway.ports.serving import MOST_TASKS, JobRecord, TaskRecord
from runtime.page import MOST_BYTES

NOW = datetime(2026, 11, 28, tzinfo=UTC)
TIMES = ("created_at", "dispatched_at", "received_at", "decided_at", "executed_at", "reported_at")


def task(message: str = "") -> TaskRecord:
    told = {
        "id": uuid.UUID(int=1), "name": "tenants/acme", "region": "eu10", "kind": TaskKind.TASK_KIND_LINK_KEY,
        "lane": 1, "generation": 1, "state": TaskState.TASK_STATE_DONE, "reason": "", "message": message,
        "dispatch_decision": "", "execute_decision": "", "arrivals": [],
    }  # fmt: skip
    return {**told, **dict.fromkeys(TIMES, NOW)}


class ReadStore:
    def __init__(self, tasks: Sequence[TaskRecord]) -> None:
        self.tasks = tasks

    async def trace(self, correlation_id: str) -> tuple[JobRecord, Sequence[TaskRecord]]:
        return JobRecord("somebody", "declare", "", "", "gateway", NOW, NOW, NOW), self.tasks


@pytest.mark.parametrize(
    ("tasks", "cut"),
    [
        ([], False),
        ([task()] * 100, False),
        ([task("x" * 1000)] * 1000, False),
        ([task("x" * 1000)] * 2000, True),
        ([task("x" * MOST_BYTES)], True),
        ([task()] * (MOST_TASKS + 1), True),
    ],
)
async def test_it_fits_and_says_whether_it_is_whole(tasks: Sequence[TaskRecord], cut: bool) -> None:
    reads: Any = ReadStore(tasks)
    context: Any = None
    found = await TraceRpc(reads).GetTrace(GetTraceRequest(correlation_id="c"), context)
    assert found.cut == cut
    assert found.ByteSize() < MOST_BYTES + 2 * 1024 * 1024 or len(tasks) == 1
    assert [hop.stage for hop in found.hops if hop.stage in ("desired", "converge")] == ["desired", "converge"]
