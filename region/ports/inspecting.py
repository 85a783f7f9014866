"""What a region's process tells its checker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runtime.progress import Hop, Progress


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A task that was tried in vain."""

    task_id: str
    resource: str
    reason: str
    attempts: int
    correlation_id: str


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """What the journal holds of a lane; `oldest` is when the oldest unsettled task came, in seconds since the epoch."""

    pending: int
    oldest: float | None
    unreported: int
    stuck: FailingTask | None


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane, and when the gateway was last heard on it and took a report; times are seconds since the epoch.

    `hops`: whether something moves at each that the process sees to.
    """

    lane: int
    counts: LaneCounts
    heard: float | None
    accepted: float | None
    hops: Mapping[Hop, Progress] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateRollback:
    """What went back to an older copy, since when, and whether nothing is served because of it."""

    places: Sequence[str]
    since: float | None
    recovering: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A resource whose key is not, or was not at that time, as its record says; `mended` once it is again."""

    resource: str
    reason: str
    message: str
    at: float
    mended: bool = False


class ProviderTrial(Protocol):
    """An L1 provider that can be tried."""

    async def try_out(self) -> Mapping[str, str]:
        """What it says of itself once it has given back what it wrapped; raises Unavailable with its own reason."""


class Inspecting(Protocol):
    """What the Inspect service needs."""

    @property
    def version(self) -> str:
        """The software's."""

    @property
    def providers(self) -> Sequence[str]:
        """The L1 providers that can be tried."""

    async def lanes(self) -> Sequence[LaneView]:
        """Every lane of this process."""

    def went_back(self) -> StateRollback:
        """What of the region's state went back, now or not long ago."""

    def disagreements(self) -> Sequence[Disagreement]:
        """Keys that are not as their records say, or were not a moment ago."""

    async def try_provider(self, name: str) -> Mapping[str, str]:
        """Try one; raises NotFound, or Unavailable with the provider's reason."""

    def now(self) -> float:
        """Seconds since the epoch."""
