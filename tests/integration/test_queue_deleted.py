"""A queue that somebody deletes while it is read is there again, and read, within seconds, on every path."""

import asyncio

import aio_pika
import pytest

from gateway.adapters.rabbitmq.lanes import RabbitLanes
from gateway.adapters.rabbitmq.topology import copies_name, queue_name, session_name
from gateway.settings import RabbitMQSettings
from region.adapters.journal.sqlite import SqliteJournal
from runtime.settings import read_secret
from tests.integration.test_paths import LANE, PATHS, REGION, Harness, harness, holds, journal, ready, until

__all__ = ["harness", "journal"]

READ = {
    "stream": queue_name(REGION, LANE),
    "amqp": queue_name(REGION, LANE),
    "mqtt": session_name(REGION, LANE),
}


async def delete(settings: RabbitMQSettings, name: str) -> None:
    connection = await aio_pika.connect(
        port=settings.port,
        login=settings.user,
        password=read_secret(settings.password_file).get_secret_value(),
    )
    channel = await connection.channel()
    await channel.queue_delete(name)
    await connection.close()


@pytest.mark.parametrize("path", PATHS)
async def test_a_queue_that_is_deleted_is_read_again(
    harness: Harness, journal: SqliteJournal, rabbitmq_settings: RabbitMQSettings, path: str
) -> None:
    await ready(harness, path)
    async with harness.reads(path, journal):
        await harness.publish([1])
        await holds(journal, 1)
        while harness.news._waiting:
            harness.news.told()
        await delete(rabbitmq_settings, READ[path])

        async def told() -> bool:
            """Whoever makes queues hears that what was in this one has to be driven again."""
            if path == "stream":
                return bool(harness.tasks.rehydrated)
            return any(each.WhichOneof("message") == "rehydrate" for each in harness.news._waiting)

        async with asyncio.timeout(10):
            await until(told)
            await harness.publish([2])
            await holds(journal, 1, 2)


async def test_the_copies_of_lane_zero_are_made_again_when_their_reader_says_so(
    harness: Harness, rabbitmq_settings: RabbitMQSettings
) -> None:
    """The next message does not show that they are gone: the lane's own queue takes it."""
    lanes = RabbitLanes(harness.broker, "classic")
    await lanes.restore(REGION, 0)
    await delete(rabbitmq_settings, copies_name(REGION))
    await lanes.restore(REGION, 0)
    async with harness.broker.channel(confirms=False) as channel:
        await channel.declare_queue(copies_name(REGION), passive=True)
