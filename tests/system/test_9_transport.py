"""Tasks by every path: the same guarantees by the stream, AMQP and MQTT, changed live, cut, and the broker killed."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiormq
import pytest
from orbital.v1.registry_pb2 import Placement

from bench.paths import PATHS, declare
from gateway.adapters.rabbitmq.lanes import session_name
from stack import api
from tests.system.conftest import region as declared_region
from tests.system.test_9_broker import broker_context, url
from tests.system.world import REGIONS, World, eventually, retried, tenancy


def switch(world: World, transport: str) -> None:
    """Declare the path of both regions, and return when all of their lanes use it."""

    def declared() -> bool:
        with world.registry() as stub:
            declare(stub, world.place, [declared_region(name) for name in REGIONS], transport)
        return True

    retried(declared)


@contextmanager
def by(world: World, transport: str) -> Iterator[None]:
    if transport != "stream":
        switch(world, transport)
    try:
        yield
    finally:
        if transport != "stream":
            switch(world, "stream")


def effects_once(world: World, tenant: str) -> None:
    """Every key was made exactly once, in every region."""
    for region in REGIONS:
        vault = world.vault(region)
        for name in world.key_material(region, tenant)["transit"]:
            assert vault.secrets.transit.read_key(name, mount_point="l2")["data"]["latest_version"] == 1


def declare_many(world: World, prefix: str, count: int, pause: float = 0.0) -> None:
    for number in range(count):
        world.declare(tenancy(f"{prefix}-{number}", services=1))
        time.sleep(pause)


def all_converged(world: World, prefix: str, count: int) -> list[Placement]:
    found: list[Placement] = []
    for number in range(count):
        found += world.converged(tenant=f"{prefix}-{number}", seconds=180)
        effects_once(world, f"{prefix}-{number}")
    return found


def unread(world: World) -> list[str]:
    """Dead letters, of which an honest run makes none."""
    found = json.loads(world.orbital("get", "deadletters", "-o", "json").stdout)
    return [str(row["id"]) for row in found]


def revoked(world: World, region: str, tenant: str) -> None:
    eventually(lambda: not world.key_material(region, tenant)["transit"] or None, 30, f"revoked in {region}")


@pytest.mark.parametrize("transport", PATHS)
def test_an_estate_converges_and_a_kill_reaches_every_region(world: World, transport: str) -> None:
    with by(world, transport):
        before = unread(world)
        declare_many(world, f"by-{transport}", 3)
        all_converged(world, f"by-{transport}", 3)
        assert world.orbital("kill", f"by-{transport}-0", "--reason", "test", "--yes").returncode == 0
        for region in REGIONS:
            revoked(world, region, f"by-{transport}-0")
        assert unread(world) == before


@pytest.mark.parametrize("transport", PATHS)
def test_a_path_that_is_cut_under_load_loses_and_repeats_nothing(world: World, transport: str) -> None:
    with by(world, transport):
        declare_many(world, f"cut-{transport}", 2)
        api.cut(world.place, "eu10")
        try:
            declare_many(world, f"cut-more-{transport}", 10, pause=2.0)
        finally:
            api.heal(world.place, "eu10")
        all_converged(world, f"cut-{transport}", 2)
        all_converged(world, f"cut-more-{transport}", 10)


@pytest.mark.parametrize("transport", PATHS)
def test_a_broker_that_is_killed_under_load_loses_and_repeats_nothing(world: World, transport: str) -> None:
    with by(world, transport):
        declare_many(world, f"killed-{transport}", 3)
        pid = api.kill(world.place, "rabbitmq")
        declare_many(world, f"killed-more-{transport}", 3)
        api.wait_ready(world.place, "rabbitmq", after=pid, seconds=90)
        all_converged(world, f"killed-{transport}", 3)
        all_converged(world, f"killed-more-{transport}", 3)


def test_the_path_is_changed_live_under_load(world: World) -> None:
    before = unread(world)
    declare_many(world, "live-a", 3)
    switch(world, "amqp")
    declare_many(world, "live-b", 3)
    switch(world, "mqtt")
    declare_many(world, "live-c", 3)
    switch(world, "stream")
    declare_many(world, "live-d", 3)
    for prefix in ("live-a", "live-b", "live-c", "live-d"):
        all_converged(world, prefix, 3)
    assert unread(world) == before


def received(world: World, correlation_id: str) -> dict[str, dict[str, str]]:
    """By region and path, what became of the task of lane 0 that came by it."""
    answer = json.loads(world.orbital("trace", correlation_id, "-o", "json").stdout)
    found: dict[str, dict[str, str]] = {region: {} for region in REGIONS}
    for hop in answer["hops"]:
        if hop["stage"] == "receive" and hop["kind"] == "UNLINK_KEY" and hop["resource"].startswith("tenants/"):
            found[hop["region"]][hop["path"]] = hop["outcome"]
    return found


def killed(world: World, tenant: str) -> str:
    """Revoke the tenant; gives the correlation ID."""
    said = world.orbital("kill", tenant, "--reason", "test", "--yes", "-o", "json")
    assert said.returncode == 0, said.stderr
    return str(json.loads(said.stdout)["correlation_id"])


def test_a_revocation_takes_every_path_and_the_trace_shows_each(world: World) -> None:
    declare_many(world, "every-path", 1)
    all_converged(world, "every-path", 1)
    correlation_id = killed(world, "every-path-0")

    def each() -> bool | None:
        found = received(world, correlation_id)
        paths = all(set(arrivals) == set(PATHS) for arrivals in found.values())
        once = all(sorted(arrivals.values()).count("journaled") == 1 for arrivals in found.values())
        return (paths and once) or None

    eventually(each, 20, "each region's three arrivals are in the trace, one of them journaled")


@pytest.mark.parametrize("alive", ["gateway", "amqp", "mqtt"])
def test_a_revocation_needs_only_one_path_that_lives(world: World, alive: str) -> None:
    prefix = f"only-{alive}"
    declare_many(world, prefix, 1)
    all_converged(world, prefix, 1)
    dead = [path for path in ("gateway", "amqp", "mqtt") if path != alive]
    try:
        for path in dead:
            api.cut(world.place, "eu10", path)
        assert world.orbital("kill", f"{prefix}-0", "--reason", "test", "--yes").returncode == 0
        revoked(world, "eu10", f"{prefix}-0")
    finally:
        api.heal(world.place, "eu10")
    world.converged(tenant=f"{prefix}-0")


async def forget_session(world: World, region: str, lane: int) -> None:
    """What the broker keeps for a region by MQTT is gone, as after a week or a broker without its disk."""
    connection = await aiormq.connect(url(world), context=broker_context(world, region))
    await (await connection.channel()).queue_delete(session_name(region, lane))
    await connection.close()


def test_a_session_that_the_broker_lost_is_told_and_what_was_in_it_comes_again(world: World) -> None:
    def told() -> int:
        log = (world.place / "log" / "gateway-bulk.log").read_text()
        return log.count('"region": "eu10", "lane": 1, "event": "session lost"')

    with by(world, "mqtt"):
        # The first session of all was told, too.
        before = eventually(lambda: told() or None, 20, "a session that is new is told")
        api.cut(world.place, "eu10")
        try:
            declare_many(world, "in-lost-session", 2)
            world.converged(tenant="in-lost-session-1", region="us20")
            for lane in (1, 2):
                asyncio.run(forget_session(world, "eu10", lane))
        finally:
            api.heal(world.place, "eu10")
        all_converged(world, "in-lost-session", 2)
        eventually(lambda: told() > before or None, 20, "the lost session is told")


def test_a_message_that_is_forged_at_the_broker_is_told_by_this_path_too(world: World) -> None:
    from tests.system.test_7_signatures import assert_not_executed, made_badly, publish
    from tests.system.test_7_signatures import events as security_events

    with by(world, "amqp"):
        message, reason = made_badly(world, "altered")
        before = security_events(world, "eu10", reason)
        asyncio.run(publish(world, "eu10", message))
        eventually(lambda: security_events(world, "eu10", reason) > before or None, 20, "the event")
        assert_not_executed(world)
