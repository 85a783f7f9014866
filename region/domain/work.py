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
    """A task in the journal that is due. `reason` is why it waited last, `held` what is held of its resource.

    `attempts` counts the tries in vain, `failures` those of them in which the task failed by itself.

    `resource` and `generation` are the task's: reading them out of a message thousands of times a second costs.
    """

    row: int
    task: pb.Task
    resource: str
    generation: int
    received_at: float
    attempts: int = 0
    reason: str = ""
    held: Held | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """An entry with what came of it; times are seconds since the epoch, `due_at` says when a waiting one is due.

    `receipt` is empty for a task that destroys nothing.
    """

    entry: Entry
    result: Result
    report: bytes
    due_at: float = 0.0
    receipt: bytes = b""


def coalesce(entries: Iterable[Entry]) -> tuple[list[Entry], list[tuple[Entry, int]]]:
    """(the entries to execute, the superseded ones with the generation that supersedes them).

    Only the highest generation of a resource is executed; the order of `entries` is kept.
    """
    order = list(entries)
    highest: dict[str, int] = {}
    for entry in order:
        if entry.generation > highest.get(entry.resource, -1):
            highest[entry.resource] = entry.generation
    kept, superseded = [], []
    for entry in order:
        newest = highest[entry.resource]
        if entry.generation < newest:
            superseded.append((entry, newest))
        else:
            kept.append(entry)
    return kept, superseded


def scope(task: pb.Task, name: Name) -> tuple[str, str]:
    """The tasks of one scope run in turn: (tenant, System), with an empty System for the tenant itself."""
    return name.tenant, name.system or task.resource.link.system


def fence(generation: int, held: Held | None) -> int:
    """How a generation stands to what is held: 1 newer, 0 the same, -1 older."""
    if held is None or generation > held.generation:
        return 1
    return 0 if generation == held.generation else -1
