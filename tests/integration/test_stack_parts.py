"""The real parts: every one is killed, and nothing is lost."""

import os
import signal
import time
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from stack import api, process
from stack.openbao.client import make_client
from stack.parts.postgres import DATABASE, OWNER, PORT

PARTS = ["postgres", "rabbitmq", "certificates", "openbao-eu10", "paths"]
PAYLOAD = b"kept"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    place = tmp_path_factory.mktemp("parts")
    place.parent.chmod(0o755)
    api.up(place, PARTS)
    yield place
    api.remove(place)


async def _sql(place, statement):
    found = api.load_state(place)
    password = (place / "secrets" / "postgres-owner").read_text()
    connection = await asyncpg.connect(
        host=f"{found.run}-pg", port=PORT, user=OWNER, database=DATABASE, password=password
    )
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _queue(place, channel_use):
    password = (place / "secrets" / "rabbitmq-gateway").read_text()
    port = api.load_state(place).ports["amqp"]
    connection = await aio_pika.connect(host="127.0.0.1", port=port, login="gateway", password=password)
    async with connection:
        channel = await connection.channel()
        # The gateway's account is for what is Orbital's alone.
        exchange = await channel.declare_exchange("orbital.kept-safe", "fanout", durable=True)
        queue = await channel.declare_queue("orbital.kept-safe", durable=True)
        await queue.bind(exchange)
        return await channel_use(exchange, queue)


def _bao(place):
    secrets = place / "secrets"
    address = f"https://127.0.0.1:{api.load_state(place).ports['openbao-eu10']}"
    client = make_client(address, place / "identity" / "ca.pem")
    role, secret = (secrets / f"openbao-eu10-{name}-id" for name in ("role", "secret"))
    client.auth.approle.login(role.read_text(), secret.read_text())
    return client


async def _publish(exchange, _queue):
    message = aio_pika.Message(PAYLOAD, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await exchange.publish(message, "")


async def _get(_exchange, queue):
    message = await queue.get(timeout=10)
    await message.nack(requeue=True)
    return message.body


async def _check(place):
    assert await _sql(place, "SELECT word FROM kept") == PAYLOAD.decode()
    assert await _queue(place, _get) == PAYLOAD
    found = _bao(place).secrets.kv.v2.read_secret_version("kept", mount_point="keys", raise_on_deleted_version=True)
    assert found["data"]["data"] == {"word": PAYLOAD.decode()}


async def test_a_kill_of_everything_loses_nothing(stack):
    await _sql(stack, "CREATE TABLE kept AS SELECT 'kept' AS word")
    await _queue(stack, _publish)
    _bao(stack).secrets.kv.v2.create_or_update_secret("kept", {"word": PAYLOAD.decode()}, cas=0, mount_point="keys")

    before = api.load_state(stack)
    for part in before.parts.values():
        os.kill(part.pid, signal.SIGKILL)
    for name, part in before.parts.items():
        api.wait_ready(stack, name, after=part.pid)
    await _check(stack)

    before = api.load_state(stack)
    for part in (before.supervisor, *before.parts.values()):
        os.kill(part.pid, signal.SIGKILL)
    after = api.up(stack, PARTS)
    assert after.ports == before.ports
    await _check(stack)


def test_a_dead_supervisor_leaves_nothing_that_the_next_start_does_not_end(stack):
    before = api.load_state(stack)
    api.kill(stack, "supervisor")
    api.up(stack, PARTS)
    assert not any(process.alive(part.pid, part.started) for part in before.parts.values())


def test_secrets_are_private_and_on_no_command_line(stack):
    secrets = [path for path in (stack / "secrets").rglob("*") if path.is_file()]
    assert secrets
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
    texts = [text for path in secrets if 8 <= len(text := path.read_bytes().strip()) < 200]
    lines = [Path(f"/proc/{part.pid}/cmdline").read_bytes() for part in api.load_state(stack).parts.values()]
    assert not any(text in line for text in texts for line in lines)


def test_the_unseal_key_does_not_lie_about(stack):
    assert not list(Path(api.load_state(stack).run).glob("*.unseal"))


def test_a_path_is_cut_and_healed(stack):
    assert api.cut(stack, "us20") == ["us20"]
    assert api.heal(stack, "us20") == []


def test_down_ends_exactly_what_up_started(stack):
    before = api.load_state(stack)
    began = time.monotonic()
    assert api.down(stack) == len(before.parts)
    assert time.monotonic() - began < 30
    assert not any(process.members(part.pid, part.started) for part in before.parts.values())
    assert api.status(stack).supervisor is None
