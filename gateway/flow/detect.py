"""Stages 2 and 3, detect and task: drift becomes tasks. Event-driven, with a periodic full pass as the safety net."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence

from gateway.domain.retry import redrive_after
from gateway.domain.task import task_id
from gateway.flow.wake import work
from gateway.ports.store import Drift, TaskStore
from runtime.lifecycle import Backoff
from runtime.watchdog import HopCounter


class Detect:
    """Finds due drift of one lane and makes tasks of it."""

    def __init__(self, store: TaskStore, lane: int, batch: int, made: Callable[[], None]) -> None:
        self._store = store
        self._lane = lane
        self._batch = batch
        self._made = made
        self.wake = asyncio.Event()
        self.counter = HopCounter()

    async def run(self, seconds: float, backoff: Backoff) -> None:
        """Detect until cancelled."""
        await work(f"detect {self._lane}", self.wake, seconds, self.step, backoff, self.counter)

    async def step(self) -> bool:
        """Turn one batch of drift into tasks; True when there may be more."""
        async with self._store.drifting(self._lane, self._batch) as batch:
            if batch.drifts:
                await batch.drive(plan(batch.drifts))
        if batch.drifts:
            self.counter.done(len(batch.drifts))
            self._made()
        return len(batch.drifts) >= self._batch


def plan(drifts: Sequence[Drift]) -> list[tuple[uuid.UUID, Drift, float]]:
    """A task's ID for each drift, and when to drive it again if it stays silent."""
    return [
        (task_id(drift.resource, drift.region, drift.generation), drift, redrive_after(drift.lane, drift.attempt))
        for drift in drifts
    ]
