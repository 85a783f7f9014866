"""The policy engine, as the flow sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runtime.policy import Decisions


class Policy(Protocol):
    """Decides about many items in one question."""

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        """Decisions for these IDs; raises Unavailable when the engine does not answer."""

    async def policy_age(self) -> float | None:
        """Seconds since the engine could confirm its policies; None when it does not say."""
