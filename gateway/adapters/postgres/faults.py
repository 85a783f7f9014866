"""What is wrong between the gateway and the broker, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.tasks import keep_lane_faults
from gateway.domain.faults import LaneFault, ProcessFault
from gateway.ports.lanes import BrokerFault


class PostgresFaults:
    """Implements `FaultStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    async def lane_faults(self, region: str) -> Sequence[LaneFault]:
        """See the port."""
        return [LaneFault(**row) for row in await self._database.fetch("lane_faults", region)]

    async def process_faults(self) -> Sequence[ProcessFault]:
        """See the port."""
        return [ProcessFault(**row) for row in await self._database.fetch("process_flags")]

    async def say(self, component: str, fault: BrokerFault | None) -> None:
        """See the port."""
        if fault is None:
            await self._database.execute("clear_process_flag", self._process, component)
        else:
            said = (fault.reason, fault.message)
            await self._database.execute("keep_process_flag", self._process, component, *said)

    async def keep(self, faults: Mapping[str, BrokerFault], lane: int) -> None:
        """See the port."""
        await keep_lane_faults(self._database, faults, lane)

    async def clear(self, regions: Sequence[str], lane: int) -> None:
        """See the port."""
        await self._database.execute("clear_lane_faults", lane, list(regions))

    async def to_check(self, lane: int, most: int) -> Sequence[str]:
        """See the port."""
        return [row["region"] for row in await self._database.fetch("lane_faults_to_check", lane, most)]

    async def next_check(self, lane: int) -> float | None:
        """See the port."""
        (row,) = await self._database.fetch("next_lane_fault", lane)
        seconds: float | None = row["seconds"]
        return seconds

    async def call_direct(self) -> None:
        """See the port."""
        await self._database.execute("call_direct")
