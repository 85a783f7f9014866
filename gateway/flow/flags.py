"""All flags there are: what regions' checkers say, and what the gateway knows of the way to the regions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orbital.v1.flag_pb2 import Flag, FlagChange

from gateway.domain.faults import CONTROL_PLANE, own_flags, region_flags
from gateway.domain.health import severity
from gateway.ports.faults import FaultStore
from gateway.ports.flags import FlagStore, Hold, Signal


class AllFlags:
    """Implements `FlagStore` on that of the checkers' flags. The flags of the control plane itself are of region ""."""

    def __init__(self, checkers: FlagStore, faults: FaultStore) -> None:
        self._checkers = checkers
        self._faults = faults

    async def flags(self, region: str) -> dict[str, list[Flag]]:
        """See the port."""
        found = await self._checkers.flags(region)
        for name, flag in region_flags(await self._faults.lane_faults(region)).items():
            # A fault may be left over of a region that is not declared any more.
            if name in found:
                found[name] = sorted([*found[name], flag], key=severity)
        if not region and (own := own_flags(await self._faults.process_faults())):
            found[CONTROL_PLANE] = own
        return found

    async def store(self, signals: Sequence[Signal]) -> None:
        """See the port."""
        await self._checkers.store(signals)

    async def changes(self, region: str, since: datetime | None, size: int, token: str) -> tuple[list[FlagChange], str]:
        """See the port."""
        return await self._checkers.changes(region, since, size, token)

    async def versions(self) -> dict[str, dict[str, str]]:
        """See the port."""
        return await self._checkers.versions()

    async def hold(self, regions: Sequence[str], holds: Sequence[Hold]) -> None:
        """See the port."""
        await self._checkers.hold(regions, holds)

    async def holds(self) -> dict[str, list[Hold]]:
        """See the port."""
        return await self._checkers.holds()
