"""Stage 4, dispatch: policy is asked, then tasks are published on their lane, with the broker's confirm.

Claim, decision, publish and mark are one transaction: a crash in between only sends a task twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from orbital.v1.task_pb2 import Task, TaskBatch

from gateway.domain.task import KIND_WORDS
from gateway.flow.wake import work
from gateway.ports.lanes import Parcel, Publisher
from gateway.ports.policy import Policy
from gateway.ports.security import Signs
from gateway.ports.store import ClaimBatch, Claimed, TaskStore
from runtime.lifecycle import Backoff
from runtime.policy import HELD
from runtime.signatures import TASKS


class Dispatch:
    """Publishes the pending tasks of one lane."""

    def __init__(
        self,
        store: TaskStore,
        policy: Policy,
        publisher: Publisher,
        signer: Signs,
        lane: int,
        *,
        claim: int,
        message: int,
    ) -> None:
        self._store = store
        self._policy = policy
        self._publisher = publisher
        self._signer = signer
        self._lane = lane
        self._claim = claim
        self._message = message
        self.wake = asyncio.Event()

    async def run(self, seconds: float, backoff: Backoff) -> None:
        """Dispatch until cancelled."""
        await work(f"dispatch {self._lane}", self.wake, seconds, self.step, backoff)

    async def step(self) -> bool:
        """Publish one claim; True when there may be more."""
        async with self._store.claiming(self._lane, self._claim) as batch:
            overtaken = [task.identity for task in batch.tasks if task.generation < task.current_generation]
            if overtaken:
                await batch.superseded(overtaken)
            current = [task for task in batch.tasks if task.generation == task.current_generation]
            if current:
                await self._send(batch, current)
        return len(batch.tasks) == self._claim

    async def _send(self, batch: ClaimBatch, tasks: Sequence[Claimed]) -> None:
        # Lane 0 waits for nothing, and no policy asks how old it is there.
        age = await self._policy.policy_age() if self._lane else None
        correlations = sorted({task.correlation_id for task in tasks})
        question = {
            "policy_age": age,
            "correlations": correlations,
            "tasks": [_question(task) for task in tasks],
        }
        decisions = await self._policy.decide("dispatch", question, [task.identity.hex for task in tasks])
        allowed = [task for task in tasks if decisions.allows(task.identity.hex)]
        refused = [
            (task, decisions.refused[task.identity.hex]) for task in tasks if not decisions.allows(task.identity.hex)
        ]
        held = [(task, refusal) for task, refusal in refused if refusal.reason in HELD]
        denied = [(task, refusal) for task, refusal in refused if refusal.reason not in HELD]
        if held:
            await batch.held(held, decisions.decision_id)
        if denied:
            await batch.denied(denied, decisions.decision_id)
        if allowed:
            await self._publisher.publish(list(pack(allowed, self._message, self._signer)))
            await batch.published([task.identity for task in allowed], decisions.decision_id)


def _question(task: Claimed) -> dict[str, object]:
    return {
        "id": task.identity.hex,
        "kind": KIND_WORDS[task.kind],
        "lane": task.lane,
        "region": task.region,
        "tenant": task.tenant,
        "resource": task.resource,
        "generation": task.generation,
    }


def pack(tasks: Iterable[Claimed], most: int, signer: Signs) -> Iterable[Parcel]:
    """Signed messages of at most `most` tasks of one region and lane each, in the order of the tasks."""
    by_region: dict[str, list[Claimed]] = {}
    for task in tasks:
        by_region.setdefault(task.region, []).append(task)
    for region, here in by_region.items():
        for start in range(0, len(here), most):
            part = here[start : start + most]
            batch = TaskBatch(region=region, lane=part[0].lane, tasks=[build(task) for task in part])
            signed = signer.sign(TASKS, batch.SerializeToString())
            yield Parcel(region, part[0].lane, signed.SerializeToString(), _headers(part, signed.key_id))


def _headers(tasks: Sequence[Claimed], key_id: str) -> dict[str, str]:
    """What a message says of itself outside its payload."""
    return {
        "orbital-region": tasks[0].region,
        "orbital-lane": str(tasks[0].lane),
        "orbital-tasks": str(len(tasks)),
        "orbital-key-id": key_id,
        "orbital-correlation-id": ",".join(sorted({task.correlation_id for task in tasks})),
    }


def build(claimed: Claimed) -> Task:
    """The task as it travels, the whole desired state in it."""
    task = Task(
        id=claimed.identity.hex,
        kind=claimed.kind,  # type: ignore[arg-type]  # the stored number is the enum's
        lane=claimed.lane,
        sequence=claimed.sequence,
        region=claimed.region,
        tenant=claimed.tenant,
        correlation_id=claimed.correlation_id,
    )
    task.create_time.FromDatetime(claimed.created_at)
    task.resource.ParseFromString(claimed.body)
    task.resource.generation = claimed.generation
    task.resource.correlation_id = claimed.correlation_id
    return task
