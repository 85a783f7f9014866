"""Tasks as they travel: signed messages of one region and lane each. What cannot be packed stays behind alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from orbital.v1.resource_pb2 import LinkState
from orbital.v1.task_pb2 import Task, TaskBatch, TaskKind

from gateway.ports.lanes import LaneMessage
from gateway.ports.security import Signs
from gateway.ports.store import Claimed
from runtime.kinds import RETIRING
from runtime.policy import Refusal
from runtime.signatures import TASKS

# A message is kept far below what a broker or a stream takes.
MOST_BYTES = 2 * 2**20
UNREADABLE = Refusal("TASK_UNREADABLE", "What is stored of this resource cannot be made a task")
TOO_LARGE = Refusal("TASK_TOO_LARGE", f"The task is larger than a message may be ({MOST_BYTES} bytes)")


@dataclass(frozen=True, slots=True)
class PackedMessage:
    """A message and the tasks in it."""

    lane_message: LaneMessage
    tasks: Sequence[Claimed]


@dataclass(frozen=True, slots=True)
class PackResult:
    """Messages, and the tasks that none could be made of."""

    messages: Sequence[PackedMessage]
    broken: Sequence[tuple[Claimed, Refusal]]


def pack(tasks: Iterable[Claimed], most: int, signer: Signs) -> PackResult:
    """Messages of at most `most` tasks of one region and lane each, in the order of the tasks."""
    by_region: dict[str, list[tuple[Claimed, Task]]] = {}
    broken: list[tuple[Claimed, Refusal]] = []
    for claimed in tasks:
        try:
            task = build(claimed)
        except (DecodeError, ValueError, TypeError, OverflowError):
            broken.append((claimed, UNREADABLE))
            continue
        if task.ByteSize() > MOST_BYTES:
            broken.append((claimed, TOO_LARGE))
            continue
        by_region.setdefault(claimed.region, []).append((claimed, task))
    parts = [part for here in by_region.values() for part in _split(here, most)]
    return PackResult([_sign(part, signer) for part in parts], broken)


def _split(here: Sequence[tuple[Claimed, Task]], most: int) -> Iterable[Sequence[tuple[Claimed, Task]]]:
    """Parts of at most `most` tasks and MOST_BYTES."""
    part: list[tuple[Claimed, Task]] = []
    size = 0
    for each in here:
        bytes_here = each[1].ByteSize()
        if part and (len(part) == most or size + bytes_here > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(each)
        size += bytes_here
    if part:
        yield part


def _sign(part: Sequence[tuple[Claimed, Task]], signer: Signs) -> PackedMessage:
    tasks = [claimed for claimed, _ in part]
    region, lane = tasks[0].region, tasks[0].lane
    batch = TaskBatch(region=region, lane=lane, tasks=[task for _, task in part])
    signed = signer.sign(TASKS, batch.SerializeToString())
    return PackedMessage(LaneMessage(region, lane, signed.SerializeToString(), _headers(tasks, signed.key_id)), tasks)


def _headers(tasks: Sequence[Claimed], key_id: str) -> dict[str, str]:
    """What a message says of itself outside its payload."""
    return {
        "orbital-region": tasks[0].region,
        "orbital-lane": str(tasks[0].lane),
        "orbital-tasks": str(len(tasks)),
        "orbital-key-id": key_id,
        "orbital-correlation-id": ",".join(sorted({task.correlation_id for task in tasks})),
    }


def _depart(task: Task, claimed: Claimed) -> None:
    """Say that the resource is to go: from everywhere, or from this region alone."""
    task.departure = not task.resource.retired
    if claimed.kind in (*RETIRING, TaskKind.TASK_KIND_SYNC_POLICY):
        task.resource.retired = True
    if task.resource.HasField("link"):
        task.resource.link.state = LinkState.LINK_STATE_UNLINKED


def build(claimed: Claimed) -> Task:
    """The task as it travels, the whole desired state in it."""
    task = Task(
        id=claimed.identity.hex,
        kind=TaskKind.ValueType(claimed.kind),
        lane=claimed.lane,
        sequence=claimed.sequence,
        region=claimed.region,
        tenant=claimed.tenant,
        correlation_id=claimed.correlation_id,
        cancelled=claimed.cancelled,
        attempt=claimed.attempt,
    )
    task.create_time.FromDatetime(claimed.created_at)
    task.resource.ParseFromString(claimed.body)
    if claimed.kind in RETIRING or claimed.leaving:
        _depart(task, claimed)
    elif claimed.generation < claimed.current_generation:
        # A revocation that retirement overtook; the retirement is a task of its own.
        task.resource.retired = False
    task.resource.generation = claimed.generation
    task.resource.correlation_id = claimed.correlation_id
    return task
