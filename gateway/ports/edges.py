"""What regions say of their edges, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orbital.v1.edge_pb2 import Edge


@dataclass(frozen=True, slots=True)
class Observation:
    """The complete current list of a region's edges. `sent_at` is in seconds since the epoch, by the region's clock."""

    region: str
    edges: Sequence[Edge]
    sent_at: float


class EdgeStore(Protocol):
    """Keeps them."""

    async def store(self, observations: Sequence[Observation]) -> None:
        """Replace the lists of these regions, one a region, in one statement; an overtaken list is dropped."""

    async def edges(self, region: str) -> list[Edge]:
        """The edges of a region (of all for ""); those of a silent region are unknown."""


class EdgeIntake(Protocol):
    """What the Edge service hands observations to."""

    async def submit(self, observation: Observation) -> None:
        """Return once it is durable; raises Invalid on a malformed one and Unavailable without a store."""
