"""What regions say of their edges, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1.edge_pb2 import Edge, Use


@dataclass(frozen=True, slots=True)
class Observation:
    """The complete current list of a region's edges, and what it served in the last hour.

    `sent_at` is in seconds since the epoch, by the region's clock; `counted_since` is None where nothing is counted.
    """

    region: str
    edges: Sequence[Edge]
    sent_at: float
    uses: Sequence[Use] = ()
    counted_since: Timestamp | None = None


class EdgeStore(Protocol):
    """Keeps them."""

    async def store(self, observations: Sequence[Observation]) -> None:
        """Replace the lists of these regions, one a region, in one statement; an overtaken list is dropped."""

    async def edges(self, region: str) -> list[Edge]:
        """The edges of a region (of all for ""); those of a silent region are unknown."""

    async def uses(self, tenant: str, system: str) -> list[Use]:
        """What each region that counts says of a tenant, or of one of its Systems."""


class EdgeIntake(Protocol):
    """What the Edge service hands observations to."""

    async def submit(self, observation: Observation) -> None:
        """Return once it is durable; raises Invalid on a malformed one and Unavailable without a store."""
