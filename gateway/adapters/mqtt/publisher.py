"""Tasks published by MQTT, where that is the only way into the broker; the lanes' queues are still made by AMQP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.adapters.rabbitmq.connection import unavailable
from gateway.adapters.rabbitmq.publisher import CONTENT_TYPE, FULL, UNCONFIRMED, shared
from gateway.adapters.rabbitmq.topology import IMMEDIATE, LaneTopology, RegionLane, blocked
from gateway.ports.lanes import BrokerFault, LaneMessage
from gateway.settings import MqttSettings
from runtime.errors import Unavailable
from runtime.identity import of_one_version
from runtime.trust import believing, show

ANSWER_SECONDS = 10.0
KEEPALIVE_SECONDS = 5
AT_LEAST_ONCE = 1


# The first version of RabbitMQ that speaks MQTT 5.
FIVE_SINCE = (3, 13)


def speaks_five(version: str) -> bool:
    """Whether a RabbitMQ of this version, such as 4.0.5, speaks MQTT 5."""
    numbers = [int(number) if number.isdigit() else 0 for number in version.split(".")]
    return tuple(numbers) >= FIVE_SINCE


def properties(lane_message: LaneMessage) -> Properties:
    """What an MQTT 5 message says of itself outside its payload; a reader by AMQP finds it as headers."""
    said = Properties(PacketTypes.PUBLISH)
    said.ContentType = CONTENT_TYPE
    said.UserProperty = list(lane_message.headers.items())
    return said


def topic(lane_message: LaneMessage) -> str:
    """What the broker makes the lane's routing key of."""
    return f"lane/{lane_message.lane}/{lane_message.region}"


class _Connection:
    """One connection. The library's thread speaks to the broker; what it says is heard in the event loop."""

    def __init__(self, settings: MqttSettings, name: str, *, five: bool) -> None:
        self._five = five
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._confirmed: dict[int, asyncio.Future[str]] = {}
        self._settings = settings
        self.lost = False
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = ANSWER_SECONDS
        # All of a call are in flight at once.
        self._client.max_inflight_messages_set(0xFFFF)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = lambda *_: self._hear(self._lost)

    async def connect(self) -> None:
        """Raises Unavailable when the broker lets nobody in."""
        settings = self._settings
        host, _, port = settings.address.rpartition(":")
        try:
            context = believing(settings.ca_file)
            certificate, key = of_one_version(settings.cert_file, settings.key_file)
            show(context, certificate, key)
            self._client.tls_set_context(context)
            await asyncio.to_thread(self._client.connect, host, int(port), KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            raise unavailable() from error
        self._client.loop_start()
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._connected

    def send(self, lane_message: LaneMessage) -> asyncio.Future[str]:
        """Publish it; what comes is "" once the broker has it, or the reason for which it did not take it."""
        said = properties(lane_message) if self._five else None
        sent = self._client.publish(topic(lane_message), lane_message.body, AT_LEAST_ONCE, properties=said)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise unavailable()
        # The answer is heard in this loop, and so not before this line.
        confirmed = self._confirmed[sent.mid] = self._loop.create_future()
        confirmed.add_done_callback(lambda _: self._confirmed.pop(sent.mid, None))
        return confirmed

    async def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _on_connect(self, _client: Client, _: object, __: object, code: ReasonCode, ___: Properties | None) -> None:
        self._hear(self._answered, code.is_failure)

    def _on_publish(self, _client: Client, _: object, mid: int, code: ReasonCode, __: Properties | None) -> None:
        # MQTT 5 says of each message that the broker did not take it, or that nothing is there to keep it.
        self._hear(self._answered_one, mid, str(code) if code.value else "")

    def _hear(self, tell: Any, *said: object) -> None:
        self._loop.call_soon_threadsafe(tell, *said)

    def _answered(self, failed: bool) -> None:  # what the broker said
        if failed:
            self._lost()
        elif not self._connected.done():
            self._connected.set_result(None)

    def _answered_one(self, mid: int, refusal: str) -> None:
        confirmed = self._confirmed.get(mid)
        if confirmed and not confirmed.done():
            confirmed.set_result(refusal)

    def _lost(self) -> None:
        self.lost = True
        everybody: list[asyncio.Future[Any]] = [self._connected, *self._confirmed.values()]
        for waiting in everybody:
            if not waiting.done():
                waiting.set_exception(unavailable())
                # Nobody may be waiting for it.
                waiting.exception()


class MqttPublisher:
    """Implements `Publisher`: QoS 1, all of a call in flight at once, each acknowledged by the broker."""

    def __init__(
        self, settings: MqttSettings, topology: LaneTopology, name: str, *, seconds: float = 5.0, immediate: float = 0.5
    ) -> None:
        self._settings = settings
        self._topology = topology
        self._name = name
        self._seconds = seconds
        self._immediate = immediate
        self._connection: _Connection | None = None

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        """See the port."""
        try:
            faults = await self._topology.prepare(
                [RegionLane(lane_message.region, lane_message.lane) for lane_message in lane_messages]
            )
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._connected()
            fates = await asyncio.gather(
                *(self._one(connection, each, faults.get(RegionLane(each.region, each.lane))) for each in lane_messages)
            )
        except (Unavailable, TimeoutError) as error:
            await self.close()
            return [shared(error if isinstance(error, Unavailable) else unavailable())] * len(lane_messages)
        except BaseException:
            # Whatever was in flight is unknown: the next call begins with a connection of its own.
            await self.close()
            raise
        if any(fate and fate.shared for fate in fates):
            await self.close()
        return fates

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        """See the port."""
        lanes = [RegionLane(region, lane) for region in regions]
        for each in lanes:
            self._topology.forget(each)
        try:
            faults = await self._topology.prepare(lanes)
        except Unavailable as error:
            return [shared(error)] * len(lanes)
        return [faults.get(each) for each in lanes]

    async def _one(
        self, connection: _Connection, lane_message: LaneMessage, fault: BrokerFault | None
    ) -> BrokerFault | None:
        if fault is not None and not fault.delivered:
            return fault
        lane = f"lane {lane_message.lane} of {lane_message.region}"
        seconds = self._immediate if lane_message.lane == IMMEDIATE else self._seconds
        try:
            async with asyncio.timeout(seconds):
                refusal = await connection.send(lane_message)
        except TimeoutError:
            if await self._topology.blocked():
                return shared(blocked())
            message = f"The broker does not acknowledge messages of {lane} within {seconds:g} s"
            return BrokerFault(UNCONFIRMED, message, shared=True)
        except Unavailable as error:
            return shared(error)
        if refusal:
            self._topology.forget(RegionLane(lane_message.region, lane_message.lane))
            return BrokerFault(FULL, f"The broker does not take messages of {lane}: {refusal}")
        return fault

    async def _connected(self) -> _Connection:
        if self._connection is None or self._connection.lost:
            await self.close()
            self._connection = _Connection(self._settings, self._name, five=speaks_five(self._topology.version))
            await self._connection.connect()
        return self._connection

    async def close(self) -> None:
        """Give the connection up, and what the lanes were declared by."""
        opened, self._connection = self._connection, None
        if opened is not None:
            await opened.close()
        await self._topology.close()
