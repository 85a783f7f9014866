"""What regions' checkers say, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orbital.v1.flag_pb2 import Flag


@dataclass(frozen=True, slots=True)
class Signal:
    """The complete current list of a region's flags. `sent_at` is in seconds since the epoch, by the region's clock."""

    region: str
    flags: Sequence[Flag]
    sent_at: float
    versions: Mapping[str, str]


class FlagStore(Protocol):
    """Keeps them."""

    async def store(self, signals: Sequence[Signal]) -> None:
        """Replace the lists of these regions, one signal a region, in one transaction; an overtaken list is dropped."""

    async def flags(self, region: str) -> dict[str, list[Flag]]:
        """Declared regions (all for "") with their flags; one whose checker is silent has one that says so."""

    async def versions(self) -> dict[str, dict[str, str]]:
        """Component to version, for each region that was ever heard."""


class FlagIntake(Protocol):
    """What the Checker service hands signals to."""

    async def submit(self, signal: Signal) -> None:
        """Return once the signal is durable; raises Invalid on a malformed one and Unavailable without a store."""
