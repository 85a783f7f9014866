"""Lane 0 without the broker: what it does not confirm goes down the region's open stream, and the region acknowledges.

The region may have the same from the broker as well: tasks carry IDs, and its journal keeps each once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from gateway.ports.lanes import BrokerFault, LaneMessage, Publisher

IMMEDIATE = 0
# A region that did not acknowledge keeps nobody waiting again before this.
SLOW_SECONDS = 10.0

Offer = Callable[[bytes], Awaitable[bool]]


class OpenStreams:
    """The streams of lane 0 that this process serves."""

    def __init__(self, seconds: float, steady: Callable[[], float]) -> None:
        self._seconds = seconds
        self._steady = steady
        self._offers: dict[str, list[Offer]] = {}
        self._slow: dict[str, float] = {}

    @contextmanager
    def offered(self, region: str, offer: Offer) -> Iterator[None]:
        """Send to this stream inside the block; the newest of a region is used."""
        self._offers.setdefault(region, []).append(offer)
        self._slow.pop(region, None)
        try:
            yield
        finally:
            self._offers[region].remove(offer)
            if not self._offers[region]:
                del self._offers[region]

    def regions(self) -> list[str]:
        """The regions that can be sent to."""
        now = self._steady()
        self._slow = {region: until for region, until in self._slow.items() if until > now}
        return [region for region in self._offers if region not in self._slow]

    async def send(self, lane_message: LaneMessage) -> bool:
        """Whether the region has acknowledged it in time."""
        offers = self._offers.get(lane_message.region)
        if not offers or self._slow.get(lane_message.region, 0.0) > self._steady():
            return False
        try:
            async with asyncio.timeout(self._seconds):
                return await offers[-1](lane_message.body)
        except TimeoutError:
            self._slow[lane_message.region] = self._steady() + SLOW_SECONDS
            return False


@dataclass(frozen=True, slots=True)
class DirectPath:
    """The path of lane 0 without the broker.

    `regions` are those that this process can send to; `call` tells the other processes that something waits for
    whoever has the stream.
    """

    regions: Callable[[], Sequence[str]]
    call: Callable[[], Awaitable[None]]


class DirectPublisher:
    """Implements `Publisher`: what the broker does not take for lane 0 goes by the open stream."""

    def __init__(self, broker: Publisher, streams: OpenStreams) -> None:
        self._broker = broker
        self._streams = streams

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        """See the port."""
        fates = await self._broker.publish(lane_messages)
        return await asyncio.gather(
            *(self._send(lane_message, fate) for lane_message, fate in zip(lane_messages, fates, strict=True)),
        )

    async def _send(self, lane_message: LaneMessage, fate: BrokerFault | None) -> BrokerFault | None:
        if fate is None or fate.delivered or lane_message.lane != IMMEDIATE:
            return fate
        return replace(fate, delivered=await self._streams.send(lane_message))

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        """See the port."""
        return await self._broker.check(regions, lane)
