"""TraceService: every hop of a change, read from what each stage stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import grpc
from orbital.v1.registry_pb2 import TaskState
from orbital.v1.resource_pb2 import Transport
from orbital.v1.trace_pb2 import GetTraceRequest, Hop, Trace
from orbital.v1.trace_pb2_grpc import TraceServiceServicer

from gateway.ports.serving import MOST_TASKS, JobRecord, ReadStore, TaskRecord
from runtime.errors import NotFound
from runtime.kinds import KIND_WORDS
from runtime.page import fitting

PATHS = {
    Transport.TRANSPORT_STREAM: "stream",
    Transport.TRANSPORT_AMQP: "amqp",
    Transport.TRANSPORT_MQTT: "mqtt",
}
OUTCOMES = {
    TaskState.TASK_STATE_PUBLISHED: "waiting",
    TaskState.TASK_STATE_DONE: "done",
    TaskState.TASK_STATE_DENIED: "denied",
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_SUPERSEDED: "superseded",
    TaskState.TASK_STATE_PARKED: "parked",
    TaskState.TASK_STATE_CANCELLED: "cancelled",
}


class TraceRpc(TraceServiceServicer):
    """See trace.proto."""

    def __init__(self, reads: ReadStore) -> None:
        self._reads = reads

    async def GetTrace(
        self,
        request: GetTraceRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> Trace:
        """See trace.proto."""
        job, tasks = await self._reads.trace(request.correlation_id)
        if job is None:
            raise NotFound(
                f"No change has the correlation ID {request.correlation_id[:64]!r}",
                reason="UNKNOWN_CORRELATION_ID",
                field="correlation_id",
            )
        trace = Trace(
            correlation_id=request.correlation_id,
            actor=job.actor,
            action=job.action,
            converged=job.converged_at is not None and not job.lost_regions,
            ended=job.ended_at is not None,
            superseded_by=job.superseded_by,
            lost_regions=job.lost_regions,
        )
        whole, hops = _told(tasks)
        hops = [_desired(job), *hops, *_converged(job)]
        # Hops of one transaction share its time: the stable sort keeps them in the order of the stages.
        hops.sort(key=lambda hop: (hop.time.seconds, hop.time.nanos))
        trace.hops.extend(hops)
        trace.cut = not whole
        return trace


def _told(tasks: Sequence[TaskRecord]) -> tuple[bool, list[Hop]]:
    """Whether all of it is told, and the hops of as many tasks as one trace has room for."""
    made = [hop for task in tasks[:MOST_TASKS] for hop in task_hops(task)]
    hops = fitting(made)
    return len(tasks) <= MOST_TASKS and len(hops) == len(made), hops


def _hop(stage: str, time: datetime, process: str, **fields: Any) -> Hop:
    hop = Hop(stage=stage, process=process, **fields)
    hop.time.FromDatetime(time)
    return hop


def _desired(job: JobRecord) -> Hop:
    return _hop(
        "desired",
        job.created_at,
        job.process,
        decision_id=job.decision_id,
        outcome="accepted",
        message=f"{job.actor}: {job.action} {job.detail}".strip(),
    )


def _converged(job: JobRecord) -> Iterator[Hop]:
    if job.lost_regions and job.ended_at is not None:
        told = f"decommissioned before it was proven there: {', '.join(job.lost_regions)}"
        yield _hop("converge", job.ended_at, "gateway", outcome="given up", message=told)
    elif job.converged_at is not None:
        yield _hop("converge", job.converged_at, "gateway", outcome="converged")
    elif job.ended_at is not None:
        by = f"superseded by {', '.join(job.superseded_by)}"
        yield _hop("converge", job.ended_at, "gateway", outcome="superseded", message=by)


def task_hops(task: TaskRecord) -> Iterator[Hop]:
    """The hops of one task, from the times that were stored with it."""
    lane = task["lane"]
    gateway = "gateway-immediate" if lane == 0 else "gateway-bulk"
    region = f"region-{task['region']}-{'immediate' if lane == 0 else 'bulk'}"
    about = {
        "region": task["region"],
        "task_id": task["id"].hex,
        "resource": task["name"],
        "kind": KIND_WORDS[task["kind"]],
        "lane": lane,
        "generation": task["generation"],
    }
    outcome = OUTCOMES.get(task["state"], "pending")
    told = {"outcome": outcome, "message": task["message"] or task["reason"]}
    decided = {"decision_id": task["execute_decision"]}
    yield _hop("task", task["created_at"], gateway, outcome="made", **about)
    denied_here = task["state"] == TaskState.TASK_STATE_DENIED and task["received_at"] is None
    if task["dispatched_at"] is not None:
        first = told if denied_here else {"outcome": "published"}
        yield _hop("dispatch", task["dispatched_at"], gateway, decision_id=task["dispatch_decision"], **first, **about)
    arrivals = task["arrivals"] or [(Transport.TRANSPORT_UNSPECIFIED, task["received_at"])]
    if task["received_at"] is not None:
        for number, (path, at) in enumerate(arrivals):
            outcome = "duplicate" if number else "journaled"
            yield _hop("receive", at, region, outcome=outcome, path=PATHS.get(path, ""), **about)
    if task["decided_at"] is not None:
        allowed = "denied" if task["state"] == TaskState.TASK_STATE_DENIED else "allowed"
        yield _hop("decide", task["decided_at"], region, outcome=allowed, **decided, **about)
    if task["executed_at"] is not None:
        yield _hop("execute", task["executed_at"], region, **told, **about)
    if task["reported_at"] is not None:
        yield _hop("report", task["reported_at"], gateway, **told, **about)
