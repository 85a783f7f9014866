"""A region's lanes by MQTT: mutual TLS, QoS 1, and a session that the broker keeps while the region is away."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from orbital.v1.resource_pb2 import Transport
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from region.adapters.broker import Broker, tls
from region.ports.inbound import Delivery
from runtime.errors import Unavailable
from runtime.logs import get_logger

if TYPE_CHECKING:
    from region.ports.inbound import Subscription

log = get_logger(__name__)

ANSWER_SECONDS = 10.0
KEEPALIVE_SECONDS = 5
# As long as the broker keeps a session whose region is away.
SESSION_SECONDS = 7 * 86_400
AT_LEAST_ONCE = 1
AUTO = "auto"
VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
UNSUPPORTED = "Unsupported protocol version"


def client_id(region: str, lane: int) -> str:
    """The session of a region's lane, by which the broker knows it again."""
    return f"orbital.lane.{lane}.{region}"


def topic(region: str, lane: int) -> str:
    """What the broker makes of the lane's routing key."""
    return f"lane/{lane}/{region}"


def _unavailable(why: object) -> Unavailable:
    return Unavailable(f"The message broker does not serve this region by MQTT ({why})", reason="BROKER_LOST")


class _Ended(Unavailable):
    """The broker ended the connection."""


class _OtherVersion(Unavailable):
    """The broker does not speak this version of MQTT, or ended the connection without a word, as such brokers do."""


class _Connection:
    """One connection. The library's thread speaks to the broker; what it says is heard in the event loop."""

    def __init__(self, name: str, version: MQTTProtocolVersion, credit: int, context: ssl.SSLContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._five = version == VERSIONS["5"]
        self._credit = credit
        self._answer: asyncio.Future[Any] = self._loop.create_future()
        self.arrived: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if self._five else False,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.client.tls_set_context(context)
        self.client.connect_timeout = ANSWER_SECONDS
        self.client.on_connect = lambda _client, _, flags, code, __: self._hear((flags.session_present, code))
        self.client.on_subscribe = lambda _client, _, __, codes, ___: self._hear(codes)
        self.client.on_unsubscribe = lambda _client, _, __, codes, ___: self._hear(codes)
        self.client.on_message = self._message
        self.client.on_disconnect = self._disconnected

    async def connect(self, host: str, port: int) -> bool:
        """Whether the broker still had the session; raises Unavailable when it lets nobody in.

        Raises _OtherVersion when it may be that it speaks an older one.
        """
        properties = None
        if self._five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = SESSION_SECONDS
            properties.ReceiveMaximum = self._credit
        options: dict[str, Any] = {"clean_start": False, "properties": properties} if self._five else {}
        try:
            await asyncio.to_thread(self.client.connect, host, port, KEEPALIVE_SECONDS, **options)
        except (OSError, ValueError) as error:
            raise _unavailable(type(error).__name__) from error
        self.client.loop_start()
        try:
            present, code = await self._answered()
        except _Ended as error:
            if self._five:
                raise _OtherVersion(error.message, reason=error.reason) from error
            raise
        if self._five and code.getName() == UNSUPPORTED:
            raise _OtherVersion(str(code))
        if code.is_failure:
            raise _unavailable(code)
        return bool(present)

    async def ask(self, request: Any) -> None:
        """Make a request and wait until the broker has agreed."""
        self._answer = self._loop.create_future()
        status, _ = request()
        if status != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise _unavailable(status.name)
        refused = [code for code in await self._answered() if code.is_failure]
        if refused:
            raise _unavailable(refused[0])

    async def close(self) -> None:
        """End the connection; the broker keeps the session."""
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    async def _answered(self) -> Any:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer
        except TimeoutError as error:
            raise _unavailable("it does not answer") from error

    def _hear(self, said: object) -> None:
        self._loop.call_soon_threadsafe(self._tell, said)

    def _tell(self, said: object) -> None:
        if not self._answer.done():
            self._answer.set_result(said)

    def _message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self.arrived.put_nowait, (message.mid, bytes(message.payload)))

    def _disconnected(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._lost)

    def _lost(self) -> None:
        self.arrived.put_nowait(None)
        if not self._answer.done():
            ended = _unavailable("it ended the connection")
            self._answer.set_exception(_Ended(ended.message, reason=ended.reason))
            # Nobody may be waiting for it.
            self._answer.exception()


class MqttSubscription:
    """See region.ports.inbound.Subscription."""

    def __init__(self, connection: _Connection, subject: str, *, fresh: bool) -> None:
        self._connection = connection
        self._topic = subject
        self.fresh = fresh
        # Packets to acknowledge by tag, and those that may be: MQTT wants them in the order in which they came.
        self._open: dict[int, int] = {}
        self._settled: set[int] = set()

    async def arrivals(self) -> AsyncIterator[Delivery]:
        """See the port."""
        tag = 0
        while (message := await self._connection.arrived.get()) is not None:
            tag += 1
            self._open[tag] = message[0]
            yield Delivery(tag, message[1])
        raise Unavailable("The message broker ended the connection", reason="BROKER_LOST")

    async def acknowledge(self, tag: int) -> None:
        """See the port."""
        self._settled.update(each for each in self._open if each <= tag)
        self._flush()

    async def reject(self, tag: int) -> None:
        """See the port. MQTT has no word for it: the broker forgets the message, the gateway is told by the stream."""
        self._settled.add(tag)
        self._flush()

    async def leave(self) -> bool:
        """See the port."""
        await self._connection.ask(lambda: self._connection.client.unsubscribe(self._topic))
        return True

    def _flush(self) -> None:
        for tag in list(self._open):
            if tag not in self._settled:
                return
            self._settled.discard(tag)
            status = self._connection.client.ack(self._open.pop(tag), AT_LEAST_ONCE)
            if status != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise _unavailable(status.name)


class MqttInbound:
    """See region.ports.inbound.Inbound. Each lane has a connection and a session of its own.

    Version "auto" is 5 where the broker speaks it and 3.1.1 where it does not, and stays what was found.
    """

    transport = Transport.TRANSPORT_MQTT

    def __init__(self, broker: Broker, region: str, version: str) -> None:
        self._broker = broker
        self._region = region
        self._version = VERSIONS.get(version)

    @asynccontextmanager
    async def open(self, lane: int, credit: int) -> AsyncIterator[Subscription]:
        """See the port."""
        subject = topic(self._region, lane)
        async with AsyncExitStack() as stack:
            connection, present = await self._connect(stack, lane, credit)
            await connection.ask(lambda: connection.client.subscribe(subject, AT_LEAST_ONCE))
            yield MqttSubscription(connection, subject, fresh=not present)

    async def _connect(self, stack: AsyncExitStack, lane: int, credit: int) -> tuple[_Connection, bool]:
        """A connection, and whether the broker still had the session."""
        host, _, port = self._broker.address.rpartition(":")
        for version in [self._version] if self._version else [VERSIONS["5"], VERSIONS["3.1.1"]]:
            connection = _Connection(client_id(self._region, lane), version, credit, tls(self._broker))
            stack.push_async_callback(connection.close)
            with suppress(_OtherVersion):
                present = await connection.connect(host, int(port))
                if self._version != version:
                    log.info("mqtt_version", lane=lane, version=int(version))
                    self._version = version
                return connection, present
        raise _unavailable("it speaks another version")
