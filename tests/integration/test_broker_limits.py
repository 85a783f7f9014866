"""What one region may take of the broker, while others are served as ever."""

import asyncio
from contextlib import AsyncExitStack, suppress

import aiormq
import pytest
from aiormq.abc import AbstractConnection
from aiormq.exceptions import AMQPError
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from region.adapters.broker import tls
from stack.parts.rabbitmq import REGION_LIMITS
from tests.integration.test_paths import Harness, harness

__all__ = ["harness"]

# The broker counts a moment later than it lets in.
LATE = 4
TRIES = 60


async def connect(harness: Harness) -> AbstractConnection:
    return await aiormq.connect(f"amqps://{harness.amqp.address}/%2F?auth=EXTERNAL", context=tls(harness.amqp))


async def connections(harness: Harness, stack: AsyncExitStack) -> list[AbstractConnection]:
    """As many as it lets in."""
    opened: list[AbstractConnection] = []
    for _ in range(TRIES):
        with suppress(AMQPError, OSError):
            opened.append(await connect(harness))
            stack.push_async_callback(opened[-1].close)
    await asyncio.sleep(0.5)
    return [each for each in opened if not each.is_closed]


async def test_connections_of_one_region_are_bounded_and_others_publish(harness: Harness) -> None:
    async with AsyncExitStack() as stack:
        opened = await connections(harness, stack)
        assert REGION_LIMITS["max-connections"] <= len(opened) <= REGION_LIMITS["max-connections"] + LATE
        await harness.publish([1, 2, 3])


async def test_channels_of_one_region_are_bounded_and_others_publish(harness: Harness) -> None:
    async with AsyncExitStack() as stack:
        for connection in (await connections(harness, stack))[:4]:
            channels = 0
            with suppress(AMQPError, OSError, RuntimeError, TimeoutError):
                for _ in range(TRIES):
                    async with asyncio.timeout(5):
                        await connection.channel()
                    channels += 1
            # The broker ends the connection that asks for one too many, and its channels with it.
            assert channels <= REGION_LIMITS["max-channels"] + LATE
            assert connection.is_closed
        await harness.publish([1, 2, 3])


async def test_mqtt_connections_of_one_region_are_bounded_too(harness: Harness) -> None:
    host, _, port = harness.mqtt.address.rpartition(":")
    clients = []
    try:
        for number in range(TRIES):
            client = Client(
                CallbackAPIVersion.VERSION2,
                client_id=f"orbital.lane.{number % 3}.eu10.{number}",
                protocol=MQTTProtocolVersion.MQTTv311,
            )
            client.tls_set_context(tls(harness.amqp))
            with suppress(OSError):
                await asyncio.to_thread(client.connect, host, int(port), 30)
                client.loop_start()
                clients.append(client)
        await asyncio.sleep(2)
        alive = sum(client.is_connected() for client in clients)
        assert alive <= REGION_LIMITS["max-connections"] + LATE
        await harness.publish([1, 2, 3])
    finally:
        for client in clients:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)


@pytest.fixture(autouse=True)
async def settled() -> None:
    """The connections of the test before are counted no more."""
    await asyncio.sleep(1)
