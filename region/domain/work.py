"""Journaled tasks as the executor takes them: what is superseded, what runs together, what runs in turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orbital.v1 import task_pb2 as pb

from region.domain.names import Name
from region.domain.result import Result


@dataclass(frozen=True, slots=True)
class Held:
    """What the region holds of a resource: the last generation that was done, and how it looked."""

    generation: int
    kind: int
    state: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A task in the journal that is due. `reason` is why it waited last, `held` what is held of its resource."""

    row: int
    task: pb.Task
    received_at: float
    attempts: int = 0
    reason: str = ""
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """An entry with what came of it; times are seconds since the epoch, `due_at` says when a waiting one is due."""

    entry: Entry
    result: Result
    report: bytes
    due_at: float = 0.0


def coalesce(entries: Iterable[Entry]) -> tuple[list[Entry], list[tuple[Entry, int]]]:
    """(the entries to execute, the superseded ones with the generation that supersedes them).

    Only the highest generation of a resource is executed; the order of `entries` is kept.
    """
    order = list(entries)
    highest: dict[str, int] = {}
    for entry in order:
        resource = entry.task.resource
        if resource.generation > highest.get(resource.name, -1):
            highest[resource.name] = resource.generation
    kept, superseded = [], []
    for entry in order:
        newest = highest[entry.task.resource.name]
        if entry.task.resource.generation < newest:
            superseded.append((entry, newest))
        else:
            kept.append(entry)
    return kept, superseded


def scope(task: pb.Task, name: Name) -> tuple[str, str]:
    """The tasks of one scope run in turn: (tenant, System), with an empty System for the tenant itself."""
    return name.tenant, name.system or task.resource.link.system


def fence(task: pb.Task, held: Held | None) -> int:
    """How the task's generation stands to what is held: 1 newer, 0 the same, -1 older."""
    if held is None or task.resource.generation > held.generation:
        return 1
    return 0 if task.resource.generation == held.generation else -1
