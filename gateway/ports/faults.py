"""What is wrong between the gateway and the broker, kept for all of its processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.faults import LaneFault, ProcessFault
from gateway.ports.lanes import BrokerFault


class FaultStore(Protocol):
    """Keeps them."""

    async def lane_faults(self, region: str) -> Sequence[LaneFault]:
        """Those of a region, of all for ""; what is the broker's own fault is not among them."""

    async def process_faults(self) -> Sequence[ProcessFault]:
        """What was said within the last seconds."""

    async def say(self, component: str, fault: BrokerFault | None) -> None:
        """What this process says of a part now; to be repeated while there is trouble."""

    async def keep(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        """Keep what is wrong with the lane in these regions."""

    async def clear(self, regions: Sequence[str], lane: int) -> None:
        """Nothing is wrong with the lane in these regions any more."""

    async def to_check(self, lane: int, most: int) -> Sequence[str]:
        """Regions whose fault of the lane is to be looked at again, where nothing waits to be published."""

    async def next_check(self, lane: int) -> float | None:
        """Seconds until a fault of the lane is to be looked at again; None when there is none."""

    async def call_direct(self) -> None:
        """Tell whoever has an open stream of lane 0 that something waits for it."""
