"""Policy engines that allow everything, and what a caller is told while a part is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orbital.v1 import task_pb2 as pb

from region.ports.policy import Decisions as RegionDecisions
from runtime.errors import Unavailable
from runtime.policy import Decisions


class Engine:
    """Policy, as the gateway and as a region ask for it: it allows everything, and keeps what it allowed."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()
        self.away = False

    async def policy_age(self) -> float | None:
        """Fresh."""
        return 1.0

    def _answer(self, identities: Sequence[str]) -> None:
        if self.away:
            raise Unavailable("The policy engine does not answer", reason="POLICY_UNAVAILABLE")
        self.allowed.update(identities)


class GatewayEngine(Engine):
    """Implements the gateway's `Policy`."""

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        """Allow all."""
        del policy, question
        self._answer(identities)
        return Decisions("decision", {})


class RegionEngine(Engine):
    """Implements the region's `Policy`."""

    async def decide(self, tasks: Sequence[pb.Task]) -> RegionDecisions:
        """Allow all."""
        names = [task.id for task in tasks]
        self._answer(names)
        return RegionDecisions("decision", frozenset(names), {})


def away_if(broken: Callable[[], bool], reason: str) -> Callable[[], Exception | None]:
    """What a caller is told while it is broken."""

    def error() -> Exception | None:
        return Unavailable("It does not answer", reason=reason) if broken() else None

    error.lost = lambda: Unavailable("It does not answer", reason=reason)  # type: ignore[attr-defined]
    return error
