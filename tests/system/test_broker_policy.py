"""The broker's door: whoever enters is judged by policy, and may do what its lanes need and nothing else."""

import asyncio
import queue
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiormq
import pytest
import requests
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.adapters.rabbitmq.topology import EXCHANGE, KEPT, copies_name, queue_name, routing_key, session_name
from runtime.settings import read_secret
from stack import api
from stack.parts import rabbitmq
from tests.system.world import World, tenancy


def test_the_exchanges_are_called_the_same_on_both_sides() -> None:
    assert (rabbitmq.EXCHANGE, rabbitmq.KEPT) == (EXCHANGE, KEPT)


def broker_context(world: World, identity: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(world.place / "identity" / "ca.pem"))
    if identity:
        current = (world.place / "identity" / identity / "current").resolve()
        context.load_cert_chain(current / "cert.pem", current / "key.pem")
    return context


def url(world: World, port: str = "amqps") -> str:
    return f"amqps://127.0.0.1:{world.state.ports[port]}/%2F?auth=EXTERNAL"


OWN, OTHER = queue_name("eu10", 1), queue_name("us20", 1)


async def ignore(_: object) -> None: ...


# What eu10 must not do. Each closes its channel.
ATTEMPTS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "consume another's lane": lambda channel: channel.basic_consume(OTHER, ignore),
    "get from another's lane": lambda channel: channel.basic_get(OTHER),
    "publish a task": lambda channel: channel.basic_publish(
        b"x", exchange=EXCHANGE, routing_key=routing_key("eu10", 1)
    ),
    "publish to a queue": lambda channel: channel.basic_publish(b"x", exchange="", routing_key=OWN),
    "publish elsewhere": lambda channel: channel.basic_publish(b"x", exchange="amq.topic", routing_key="x"),
    "bind its session to another's lane": lambda channel: channel.queue_bind(
        session_name("eu10", 0), EXCHANGE, routing_key("us20", 0)
    ),
    "bind its session to everything": lambda channel: channel.queue_bind(session_name("eu10", 0), EXCHANGE, "#"),
    "bind its session to what is kept": lambda channel: channel.queue_bind(
        session_name("eu10", 0), KEPT, routing_key("eu10", 0)
    ),
    "read another's session": lambda channel: channel.basic_get(session_name("us20", 0)),
    "read another's lane 0": lambda channel: channel.basic_get(copies_name("us20")),
    "declare a queue": lambda channel: channel.queue_declare("mine"),
    "declare a lane": lambda channel: channel.queue_declare(queue_name("eu10", 7), durable=True),
    "bind another's lane": lambda channel: channel.queue_bind(OWN, EXCHANGE, routing_key("us20", 1)),
    "delete its own lane": lambda channel: channel.queue_delete(OWN),
    "read dead letters": lambda channel: channel.basic_get("orbital.dead"),
    "declare an exchange": lambda channel: channel.exchange_declare(exchange="mine"),
}


async def tried(world: World, act: Callable[[Any], Awaitable[object]]) -> None:
    connection = await aiormq.connect(url(world), context=broker_context(world, "eu10"))
    try:
        # Confirmed, so that a refused publication is known.
        await act(await connection.channel(publisher_confirms=True))
    finally:
        await connection.close()


async def enters(world: World, identity: str | None) -> bool:
    try:
        connection = await aiormq.connect(url(world), context=broker_context(world, identity))
    except (aiormq.exceptions.AMQPError, OSError):
        return False
    await connection.close()
    return True


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_region_may_do_nothing_at_the_broker_but_read_its_own_lanes(world: World, attempt: str) -> None:
    world.declare(tenancy("at-the-broker", services=0))
    world.converged(tenant="at-the-broker")
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
        asyncio.run(tried(world, ATTEMPTS[attempt]))


def test_the_broker_knows_nobody_else(world: World) -> None:
    assert asyncio.run(enters(world, "eu10"))
    assert not asyncio.run(enters(world, None))
    assert not asyncio.run(enters(world, "operator"))
    assert not asyncio.run(enters(world, "edge-eu10"))


def by_mqtt(
    world: World, client_id: str, act: Callable[[Client], object], login: tuple[str, str | None] | None = None
) -> list[str]:
    """What the broker says to eu10 as an MQTT client of this name that does something, until it says no more."""
    said: queue.Queue[str] = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False)
    client.tls_set_context(broker_context(world, "eu10"))
    if login:
        client.username_pw_set(*login)
    client.on_connect = lambda _client, _, __, code, ___: said.put("refused" if code.is_failure else "connected")
    client.on_subscribe = lambda _client, _, __, codes, ___: said.put(
        "refused" if codes[0].is_failure else "subscribed"
    )
    client.on_publish = lambda *_: said.put("published")
    client.on_disconnect = lambda *_: said.put("ended")
    client.connect("127.0.0.1", world.state.ports["mqtt"])
    client.loop_start()
    heard = [said.get(timeout=10)]
    if heard == ["connected"]:
        act(client)
        heard.append(said.get(timeout=10))
    client.disconnect()
    client.loop_stop()
    return heard


MINE = "orbital.lane.1.eu10"


def test_a_region_uses_mqtt_under_its_own_name_for_its_own_lanes(world: World) -> None:
    def nothing(client: Client) -> None:
        client.disconnect()

    assert by_mqtt(world, MINE, nothing) == ["connected", "ended"]
    assert by_mqtt(world, MINE, lambda client: client.subscribe("lane/1/eu10", 1)) == ["connected", "subscribed"]
    for topic in ("lane/1/us20", "lane/+/eu10", "#"):
        heard = by_mqtt(world, MINE, lambda client, topic=topic: client.subscribe(topic, 1))  # type: ignore[misc]
        assert heard[1] in ("refused", "ended"), topic
    assert by_mqtt(world, MINE, lambda client: client.publish("lane/1/eu10", b"x", 1))[1] == "ended"
    for name in ("orbital.lane.0.us20", "mine"):
        assert by_mqtt(world, name, nothing) in (["refused"], ["ended"]), name


# RabbitMQ 4 says "none" where no password was given.
@pytest.mark.parametrize("password", ["none", "undefined", "x", "", None])
def test_nobody_enters_by_mqtt_as_somebody_else(world: World, password: str | None) -> None:
    login = ("spiffe://orbital/region/us20", password)
    assert by_mqtt(world, "orbital.lane.1.us20", lambda _: None, login) in (["refused"], ["ended"])


def test_nobody_ends_another_regions_session(world: World) -> None:
    log = world.place / "log" / "region-us20-immediate.log"
    before = log.read_text().count('"event": "inlet_lost"')
    assert by_mqtt(world, "orbital.lane.0.us20", lambda _: None) in (["refused"], ["ended"])
    assert log.read_text().count('"event": "inlet_lost"') == before


def test_a_name_with_a_password_is_no_identity(world: World) -> None:
    async def enters() -> None:
        region = "spiffe%3A%2F%2Forbital%2Fregion%2Feu10"
        for password in ("", "x", "none", read_secret(world.place / "secrets" / "rabbitmq-gateway").get_secret_value()):
            await aiormq.connect(f"amqp://{region}:{password}@127.0.0.1:{world.state.ports['amqp']}/%2F")

    with pytest.raises((aiormq.exceptions.AMQPError, ConnectionError)):
        asyncio.run(enters())


def test_a_refusal_is_kept_with_its_reason(world: World) -> None:
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
        asyncio.run(tried(world, lambda channel: channel.basic_get("orbital.dead")))
    shown = world.orbital("get", "denials", "-o", "json").stdout.decode()
    assert "orbital.dead" in shown
    assert "NOT_ALLOWED" in shown


@contextmanager
def without_policy(world: World) -> Iterator[None]:
    api.hold(world.place, "opa-gateway-immediate")
    try:
        yield
    finally:
        api.release(world.place, "opa-gateway-immediate")
        api.wait_ready(world.place, "opa-gateway-immediate")


async def publish_until(world: World, got: asyncio.Event) -> None:
    """Put messages that no region can read on a lane that several read, until one of them came here."""
    password = read_secret(world.place / "secrets" / "rabbitmq-gateway").get_secret_value()
    connection = await aiormq.connect(f"amqp://gateway:{password}@127.0.0.1:{world.state.ports['amqp']}/%2F")
    channel = await connection.channel(publisher_confirms=True)
    while not got.is_set():
        await channel.basic_publish(b"no task", exchange=EXCHANGE, routing_key=routing_key("eu10", 2))
        await asyncio.sleep(0.1)
    await connection.close()


async def test_without_policy_readers_go_on_and_nobody_new_comes_in(world: World) -> None:
    got = asyncio.Event()

    async def take(message: Any) -> None:
        await channel.basic_ack(message.delivery.delivery_tag)
        got.set()

    connection = await aiormq.connect(url(world), context=broker_context(world, "eu10"))
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=1)
    await channel.basic_consume(queue_name("eu10", 2), take)
    with without_policy(world):
        async with asyncio.timeout(30):
            # What was allowed a moment ago is remembered for some seconds.
            while await enters(world, "eu10"):  # noqa: ASYNC110 - the broker does not notify us
                await asyncio.sleep(0.2)
            await publish_until(world, got)
        assert not await enters(world, "eu10")
    async with asyncio.timeout(60):
        while not await enters(world, "eu10"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await connection.close()


@pytest.mark.parametrize("identity", [None, "eu10", "gateway"])
def test_nobody_but_the_broker_may_ask(world: World, identity: str | None) -> None:
    current = world.place / "identity" / (identity or "") / "current"
    certificate = (str(current / "cert.pem"), str(current / "key.pem")) if identity else None
    pair = world.place / "broker-access"
    address = f"https://localhost:{world.state.ports['broker-access']}/user"
    asked = {"username": "spiffe://orbital/region/eu10"}
    own = (str(pair / "rabbitmq" / "cert.pem"), str(pair / "rabbitmq" / "key.pem"))
    assert requests.post(address, asked, verify=str(pair / "ca.pem"), cert=own, timeout=10).text == "allow"
    with pytest.raises(requests.ConnectionError):
        requests.post(address, asked, verify=str(pair / "ca.pem"), cert=certificate, timeout=10)
