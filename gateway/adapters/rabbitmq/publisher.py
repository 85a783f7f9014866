"""Tasks published by AMQP: persistent, all of a call in flight at once, each with a fate of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import aio_pika
from aio_pika.abc import AbstractExchange
from aio_pika.exceptions import DeliveryError, PublishError

from gateway.adapters.rabbitmq.connection import LOST
from gateway.adapters.rabbitmq.topology import IMMEDIATE, LaneTopology, RegionLane, blocked, routing_key, said
from gateway.ports.lanes import QUEUE_GONE, BrokerFault, LaneMessage
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

CONTENT_TYPE = "application/x-protobuf; messageType=orbital.v1.TaskBatch"
# A lane that failed the last time keeps the others of a claim waiting no longer than this.
SUSPECT_SECONDS = 0.5
# A larger message closes the channel that the others are in flight on; dispatch makes none of a quarter of it.
MOST_MESSAGE_BYTES = 8 * 2**20
TOO_LARGE = "MESSAGE_TOO_LARGE"
FULL, UNCONFIRMED, ENDED = "QUEUE_FULL", "BROKER_UNCONFIRMED", "CHANNEL_CLOSED"


def shared(error: Unavailable) -> BrokerFault:
    """The trouble of every lane: the broker itself is away."""
    return BrokerFault(error.reason, error.message, shared=True)


class LanePublisher:
    """Implements `Publisher`. `immediate`: seconds for a confirm on lane 0; `seconds`: on any other."""

    def __init__(self, topology: LaneTopology, *, seconds: float = 5.0, immediate: float = 0.5) -> None:
        self._topology = topology
        self._seconds = seconds
        self._immediate = immediate
        self._suspects: set[RegionLane] = set()

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        """See the port."""
        try:
            fates = await self._publish(lane_messages)
            again = [
                index for index, fate in enumerate(fates) if fate is not None and fate.reason in (QUEUE_GONE, ENDED)
            ]
            if again:
                # A queue that was deleted is declared anew. A channel that one message closed is another for each.
                for index in again:
                    self._topology.forget(_lane(lane_messages[index]))
                for index in again:
                    (fates[index],) = await self._publish([lane_messages[index]])
        except BaseException:
            await self.close()
            raise
        self._remember(lane_messages, fates)
        return fates

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        """See the port."""
        lanes = [RegionLane(region, lane) for region in regions]
        for each in lanes:
            self._topology.forget(each)
        try:
            await self._topology.exchange()
            faults = await self._topology.prepare(lanes)
        except Unavailable as error:
            return [shared(error)] * len(lanes)
        return [faults.get(each) for each in lanes]

    async def _publish(self, lane_messages: Sequence[LaneMessage]) -> list[BrokerFault | None]:
        try:
            exchange = await self._topology.exchange()
            faults = await self._topology.prepare(_lane(lane_message) for lane_message in lane_messages)
        except Unavailable as error:
            return [shared(error)] * len(lane_messages)
        fates = await asyncio.gather(*(self._one(exchange, each, faults.get(_lane(each))) for each in lane_messages))
        # One lane that confirms nothing is that lane's matter. Several and nothing else: the broker does not answer.
        silent = {
            _lane(lane_message)
            for lane_message, fate in zip(lane_messages, fates, strict=True)
            if _is(fate, UNCONFIRMED)
        }
        if len(silent) > 1 and not any(fate is None or fate.delivered for fate in fates):
            fates = [replace(fate, shared=True) if fate and _is(fate, UNCONFIRMED) else fate for fate in fates]
        return list(fates)

    async def _one(
        self, exchange: AbstractExchange, lane_message: LaneMessage, fault: BrokerFault | None
    ) -> BrokerFault | None:
        if fault is not None and not fault.delivered:
            return fault
        if len(lane_message.body) > MOST_MESSAGE_BYTES:
            size = f"{len(lane_message.body)} bytes; the broker takes {MOST_MESSAGE_BYTES} at most"
            return BrokerFault(TOO_LARGE, f"A message for lane {lane_message.lane} of {lane_message.region} has {size}")
        fate = await self._send(exchange, lane_message)
        return fault if fate is None else fate

    async def _send(self, exchange: AbstractExchange, lane_message: LaneMessage) -> BrokerFault | None:
        seconds = self._patience(_lane(lane_message))
        try:
            async with asyncio.timeout(seconds):
                await exchange.publish(
                    _message(lane_message), routing_key(lane_message.region, lane_message.lane), mandatory=True
                )
        except PublishError:
            return BrokerFault(
                QUEUE_GONE, f"Nothing at the broker keeps lane {lane_message.lane} of {lane_message.region}"
            )
        except DeliveryError:
            return BrokerFault(
                FULL, f"The broker keeps no more messages for lane {lane_message.lane} of {lane_message.region}"
            )
        except TimeoutError:
            if await self._topology.blocked():
                return shared(blocked())
            message = f"The broker does not confirm messages of lane {lane_message.lane} of {lane_message.region}"
            return BrokerFault(UNCONFIRMED, f"{message} within {seconds:g} s")
        except LOST as error:
            return BrokerFault(ENDED, f"The broker ended the channel: {said(error)}")
        return None

    def _patience(self, lane: RegionLane) -> float:
        usual = self._immediate if lane.lane == IMMEDIATE else self._seconds
        return min(usual, SUSPECT_SECONDS) if lane in self._suspects else usual

    def _remember(self, lane_messages: Sequence[LaneMessage], fates: Sequence[BrokerFault | None]) -> None:
        for lane_message, fate in zip(lane_messages, fates, strict=True):
            if fate is None:
                self._suspects.discard(_lane(lane_message))
            elif not fate.shared:
                self._suspects.add(_lane(lane_message))

    async def close(self) -> None:
        """Give the channel up."""
        await self._topology.close()


def _lane(lane_message: LaneMessage) -> RegionLane:
    return RegionLane(lane_message.region, lane_message.lane)


def _is(fate: BrokerFault | None, reason: str) -> bool:
    return fate is not None and fate.reason == reason


def _message(lane_message: LaneMessage) -> aio_pika.Message:
    return aio_pika.Message(
        lane_message.body,
        headers=dict(lane_message.headers),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        content_type=CONTENT_TYPE,
    )
