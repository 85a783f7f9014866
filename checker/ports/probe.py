"""One health check, and the policy that it is asked of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from checker.domain.sample import Finding
from runtime.policy import Decisions

# The region's Envoy, through which everything is looked at, does not answer: nothing is known of what is behind it.
SIDECAR_UNREACHABLE = "SIDECAR_UNREACHABLE"
Depth = Literal["reachability", "health", "operation"]


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """What a probe says of itself. `away` is the reason when nothing answers; times are seconds."""

    name: str
    component: str
    depth: Depth
    away: str
    period: float = 0.5
    timeout: float = 1.0


class Probe(Protocol):
    """Looks at one component."""

    @property
    def about(self) -> ProbeInfo:
        """What it is."""

    async def look(self) -> Finding:
        """What it finds; raises Unavailable, or takes too long, where nothing answers."""

    async def close(self) -> None:
        """Let go of what it holds."""


class StatelessProbe:
    """A probe that holds nothing."""

    async def close(self) -> None:
        """See Probe."""


class Policy(Protocol):
    """The region's policy engine."""

    async def decide(self, policy: str, question: Mapping[str, Any], identities: Sequence[str]) -> Decisions:
        """Decisions for exactly these IDs; raises Unavailable when the engine gives none."""
