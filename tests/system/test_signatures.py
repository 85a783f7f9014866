"""Nothing between the ends has to be trusted: what was not signed by its maker is told, and never executed."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aio_pika
import pytest
import requests
from orbital.v1 import registry_pb2 as registry
from orbital.v1.report_pb2 import ReportRequest
from orbital.v1.report_pb2_grpc import ReportServiceStub
from orbital.v1.resource_pb2 import Resource, TenantSpec
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import Reports, Task, TaskBatch, TaskKind

from gateway.adapters.rabbitmq.topology import EXCHANGE, routing_key
from runtime.signatures import GATEWAY, TASKS, KeyFile, Signer, SigningKey, make_key
from tests.system.world import SECONDS, World, eventually, refused, tenancy


def key_file(world: World, name: str) -> Path:
    return world.place / "secrets" / "signing" / f"{name}.json"


def signer(world: World, name: str) -> Signer:
    return Signer(key_file(world, name), time.time)


def batch(region: str, tenant: str) -> bytes:
    """A task that nobody asked for."""
    resource = Resource(name=f"tenants/{tenant}", generation=1, tenant=TenantSpec())
    task = Task(
        id="f" * 31 + str(len(tenant) % 10), kind=TaskKind.TASK_KIND_DEFINE_TENANT, lane=1, sequence=1, region=region,
        tenant=tenant, resource=resource,
    )  # fmt: skip
    return TaskBatch(region=region, lane=1, tasks=[task]).SerializeToString()


async def publish(world: World, region: str, message: Signed) -> None:
    password = (world.place / "secrets" / "rabbitmq-gateway").read_text().strip()
    port = world.state.ports["amqp"]
    async with await aio_pika.connect(host="127.0.0.1", port=port, login="gateway", password=password) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        body = aio_pika.Message(message.SerializeToString())
        await exchange.publish(body, routing_key(region, 1), mandatory=True)


def events(world: World, region: str, reason: str) -> int:
    with world.registry() as stub:
        found = stub.ListSecurityEvents(registry.ListSecurityEventsRequest(), timeout=SECONDS).events
    return sum(event.count for event in found if (event.region, event.reason) == (region, reason))


def dead_letters(world: World, region: str, reason: str) -> set[int]:
    """The newest messages of a region that were put aside for this reason, by ID."""
    with world.registry() as stub:
        found = stub.ListDeadLetters(registry.ListDeadLettersRequest(), timeout=SECONDS).dead_letters
    return {each.id for each in found if each.region == region and each.reason.startswith(reason)}


@contextmanager
def ended_key(world: World) -> Iterator[SigningKey]:
    """A key of the gateway that every engine knows and whose time is over."""
    path = key_file(world, "gateway")
    ended = make_key(time.time() - 20, time.time() - 10)
    known = KeyFile.load(path.read_bytes())
    path.write_bytes(KeyFile(GATEWAY, (*known.keys, ended)).dump())
    url = f"http://127.0.0.1:{world.state.ports['opa-eu10-bulk']}/v1/data/orbital/signers"

    def distributed() -> bool | None:
        return True if ended.key_id in requests.get(url, timeout=5).json().get("result", {}) else None

    try:
        eventually(distributed, 30, "the region's engine has the key")
        yield ended
    finally:
        path.write_bytes(known.dump())


def made_badly(world: World, how: str) -> tuple[Signed, str]:
    """(a message for eu10, the reason that it is refused for)."""
    content = batch("eu10", f"mallory-{how}")
    good = signer(world, "gateway").sign(TASKS, content)
    if how == "unsigned":
        return Signed(content=content), "UNSIGNED"
    if how == "altered":
        return Signed(key_id=good.key_id, signature=good.signature, content=batch("eu10", "mallory")), "FORGED"
    if how == "forged":
        stranger = make_key(0, time.time() + 60)
        forged = stranger.key.sign(content)
        return Signed(key_id=good.key_id, signature=forged, content=content), "FORGED"
    if how == "unknown":
        return Signed(key_id="0" * 16, signature=good.signature, content=content), "UNKNOWN_KEY"
    if how == "region":
        return signer(world, "eu10").sign(TASKS, content), "WRONG_SIGNER"
    return signer(world, "gateway").sign(TASKS, batch("us20", "mallory-replayed")), "WRONG_REGION"


@pytest.mark.parametrize("how", ["unsigned", "altered", "forged", "unknown", "region", "replayed"])
def test_a_message_that_the_control_plane_did_not_sign_for_this_region_is_told_and_not_executed(
    world: World, how: str
) -> None:
    message, reason = made_badly(world, how)
    before, known = events(world, "eu10", reason), dead_letters(world, "eu10", reason)
    asyncio.run(publish(world, "eu10", message))
    eventually(lambda: events(world, "eu10", reason) > before or None, 20, f"the event {reason}")
    eventually(lambda: dead_letters(world, "eu10", reason) - known or None, 20, "it is put aside")
    assert_not_executed(world)


def test_a_message_of_an_ended_key_is_told_and_not_executed(world: World, tmp_path: Path) -> None:
    with ended_key(world) as key:
        stolen = tmp_path / "stolen.json"
        stolen.write_bytes(KeyFile(GATEWAY, (key,)).dump())
        message = Signer(stolen, lambda: key.start).sign(TASKS, batch("eu10", "mallory-late"))
        before, known = events(world, "eu10", "KEY_EXPIRED"), dead_letters(world, "eu10", "KEY_EXPIRED")
        asyncio.run(publish(world, "eu10", message))
        eventually(lambda: events(world, "eu10", "KEY_EXPIRED") > before or None, 20, "the event")
        eventually(lambda: dead_letters(world, "eu10", "KEY_EXPIRED") - known or None, 20, "it is put aside")
    assert_not_executed(world)


def test_reports_with_another_regions_signature_are_refused(world: World) -> None:
    content = Reports(region="eu10").SerializeToString()
    before = events(world, "eu10", "WRONG_SIGNER")
    with world.channel("eu10") as channel:
        request = ReportRequest(region="eu10", signed=signer(world, "us20").sign("reports", content))
        error = refused(lambda: ReportServiceStub(channel).Report(request, timeout=SECONDS))
    assert "us20" in error.details()
    assert events(world, "eu10", "WRONG_SIGNER") == before + 1


def assert_not_executed(world: World) -> None:
    """An honest change that was declared afterwards has been executed, and nothing of the other."""
    tenant = f"honest-{time.time_ns()}"
    world.declare(tenancy(tenant, services=0))
    world.converged(tenant=tenant)
    kept = world.vault("eu10").list("keys/metadata/tenants")["data"]["keys"]
    assert tenant in kept
    assert not [name for name in kept if name.startswith("mallory")]
