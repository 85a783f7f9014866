"""The region's own policy engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orbital.v1 import task_pb2 as pb


@dataclass(frozen=True, slots=True)
class Decisions:
    """The answers to one batch: the IDs that are allowed, and (reason, message) by ID for those that are not."""

    decision_id: str
    allowed: frozenset[str]
    denied: Mapping[str, tuple[str, str]]


class Policy(Protocol):
    """Decides about tasks before they are executed."""

    async def decide(self, tasks: Sequence[pb.Task]) -> Decisions:
        """Every task's decision in one query; raises Unavailable when the engine does not answer as it should."""
