"""What is known of the policy engines and their decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orbital.v1.policy_pb2 import Decision, Engine


@dataclass(frozen=True, slots=True)
class Decided:
    """One event of a decision log. A decision over a batch counts its items."""

    decision_id: str
    policy: str
    principal: str
    action: str
    allowed: int
    denied: int
    reason: str
    revision: str
    correlation_ids: Sequence[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What an engine says of itself. `instance` changes with every start of it."""

    name: str
    instance: str
    revision: str
    error: str
    made: int


class EngineStore(Protocol):
    """Keeps them."""

    async def keep_decisions(self, engine: str, instance: str, decisions: Sequence[Decided]) -> None:
        """Keep them in one transaction, and count those that are new."""

    async def keep_engine(self, status: EngineStatus) -> int:
        """Keep what it said last; returns how many of its decisions are newly known to be lost."""

    async def engines(self) -> list[Engine]:
        """All of them, by name."""

    async def decisions(self, correlation_id: str, size: int, token: str) -> tuple[list[Decision], str]:
        """Those of a change (of all, for ""), newest first."""
