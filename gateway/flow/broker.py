"""Looks after the way to the regions: whether the broker takes messages, and whether a lane's fault has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.ports.faults import FaultStore
from gateway.ports.lanes import BrokerFault, Publisher
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

COMPONENT = "broker"
# Two tries fit into the three seconds within which a flag has to say it.
PROBE_SECONDS = 1.0
MOST_CHECKED = 100  # lanes that are looked at in one round
LEAST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between looks at lanes that had a fault


class Probe(Protocol):
    """Publishes something that nobody keeps."""

    async def probe(self) -> BrokerFault | None:
        """None when the broker confirmed it in time."""


class BrokerWatch:
    """Says for as long as the broker takes no messages of this process that it does not."""

    def __init__(self, probe: Probe, faults: FaultStore) -> None:
        self._probe = probe
        self._faults = faults
        self._said = ""

    async def run(self) -> None:
        """Try once a second, until cancelled."""
        await self._tell(None)
        while True:
            fault = await self._probe.probe()
            reason = fault.reason if fault else ""
            if reason != self._said:
                log.warning("broker_trouble", reason=reason, was=self._said)
            # Repeated while it is so: what a process that has ended said last is not believed for long.
            if fault or self._said:
                await self._tell(fault)
            await asyncio.sleep(PROBE_SECONDS)

    async def _tell(self, fault: BrokerFault | None) -> None:
        try:
            await self._faults.say(COMPONENT, fault)
            self._said = fault.reason if fault else ""
        except Unavailable as error:
            log.warning("flag_waits", component=COMPONENT, reason=error.reason)


class LaneWatch:
    """Looks at the faults of one lane when their time has come, and wakes who publishes there."""

    def __init__(self, publisher: Publisher, faults: FaultStore, lane: int, wake: Callable[[], None]) -> None:
        self._publisher = publisher
        self._faults = faults
        self._lane = lane
        self._wake = wake

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                pause = await self.step()
            except Unavailable as error:
                log.warning("lane_check_waits", lane=self._lane, reason=error.reason)
                pause = LONGEST_PAUSE
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Look once; gives the seconds until the next time."""
        seconds = await self._faults.next_check(self._lane)
        if seconds is None or seconds > 0:
            return LONGEST_PAUSE if seconds is None else min(LONGEST_PAUSE, max(LEAST_PAUSE, seconds))
        # What waits there is published, and that tells whether the fault has gone.
        self._wake()
        regions = await self._faults.to_check(self._lane, MOST_CHECKED)
        if regions:
            fates = dict(zip(regions, await self._publisher.check(regions, self._lane), strict=True))
            await self._faults.keep({name: fate for name, fate in fates.items() if fate}, self._lane)
            await self._faults.clear([name for name, fate in fates.items() if fate is None], self._lane)
        return LEAST_PAUSE if regions else LONGEST_PAUSE / 2
