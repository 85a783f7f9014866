"""Tasks by every path: the same guarantees by the stream, AMQP and MQTT, changed live, cut, and the broker killed.

The core of `./orbital test transports`, which does more of it, for longer, and for each identity.
"""

import asyncio
import json

import pytest

from bench.paths import PATHS
from stack import api
from tests.system.transport import (
    all_converged,
    by,
    converges_and_is_revoked,
    dead_letters,
    declare_many,
    forget_sessions,
    kill,
    revoked,
    sessions_lost,
    switch,
)
from tests.system.world import REGIONS, World, eventually


@pytest.mark.parametrize("transport", PATHS)
def test_an_estate_converges_and_a_kill_reaches_every_region(world: World, transport: str) -> None:
    with by(world, transport):
        converges_and_is_revoked(world, f"by-{transport}", 3)


@pytest.mark.parametrize("transport", PATHS)
def test_a_path_that_is_cut_under_load_loses_and_repeats_nothing(world: World, transport: str) -> None:
    with by(world, transport):
        tenants = declare_many(world, f"cut-{transport}", 2)
        api.cut(world.place, "eu10")
        try:
            tenants += declare_many(world, f"cut-more-{transport}", 8, pause=1.0)
        finally:
            api.heal(world.place, "eu10")
        all_converged(world, tenants)


# By the stream: tests/system/test_killed_parts.py.
@pytest.mark.parametrize("transport", ["amqp", "mqtt"])
def test_a_broker_that_is_killed_under_load_loses_and_repeats_nothing(world: World, transport: str) -> None:
    with by(world, transport):
        tenants = declare_many(world, f"killed-{transport}", 3)
        pid = api.kill(world.place, "rabbitmq")
        tenants += declare_many(world, f"killed-more-{transport}", 3)
        api.wait_ready(world.place, "rabbitmq", after=pid, seconds=90)
        all_converged(world, tenants)


def test_the_path_is_changed_live_under_load(world: World) -> None:
    before = dead_letters(world)
    tenants = declare_many(world, "live-a", 3)
    for number, transport in enumerate(("amqp", "mqtt", "stream")):
        switch(world, transport)
        tenants += declare_many(world, f"live-{number}", 3)
    all_converged(world, tenants)
    assert dead_letters(world) == before


def received(world: World, correlation_id: str) -> dict[str, dict[str, dict[str, str]]]:
    """By region and path, the arrival of the task of lane 0 that came by it."""
    answer = json.loads(world.orbital("trace", correlation_id, "-o", "json").stdout)
    found: dict[str, dict[str, dict[str, str]]] = {region: {} for region in REGIONS}
    for hop in answer["hops"]:
        if hop["stage"] == "receive" and hop["kind"] == "UNLINK_KEY" and hop["resource"].startswith("tenants/"):
            found[hop["region"]][hop["path"]] = hop
    return found


def test_a_revocation_takes_every_path_and_the_trace_shows_each_and_its_time(world: World) -> None:
    tenants = declare_many(world, "every-path", 1)
    all_converged(world, tenants)
    correlation_id = kill(world, tenants[0])

    def each() -> dict[str, dict[str, dict[str, str]]] | None:
        found = received(world, correlation_id)
        return found if all(set(arrivals) == set(PATHS) for arrivals in found.values()) else None

    found = eventually(each, 20, "each region's three arrivals are in the trace")
    for arrivals in found.values():
        # The first to come is the one that is done; the others are known again.
        first = min(arrivals.values(), key=lambda hop: hop["time"])
        assert [hop for hop in arrivals.values() if hop["outcome"] == "journaled"] == [first]


@pytest.mark.parametrize("alive", ["gateway", "amqp", "mqtt"])
def test_a_revocation_needs_only_one_path_that_lives(world: World, alive: str) -> None:
    tenants = declare_many(world, f"only-{alive}", 1)
    all_converged(world, tenants)
    dead = [path for path in ("gateway", "amqp", "mqtt") if path != alive]
    try:
        for path in dead:
            api.cut(world.place, "eu10", path)
        kill(world, tenants[0])
        revoked(world, "eu10", tenants[0])
    finally:
        api.heal(world.place, "eu10")
    world.converged(tenant=tenants[0])


def test_a_session_that_the_broker_lost_is_told_and_what_was_in_it_comes_again(world: World) -> None:
    before = sessions_lost(world, "eu10")
    with by(world, "mqtt"):
        # A session that is new is told, too.
        known = eventually(lambda: sessions_lost(world, "eu10") - before or None, 20, "a new session is told")
        api.cut(world.place, "eu10")
        try:
            tenants = declare_many(world, "in-lost-session", 2)
            world.converged(tenant=tenants[1], region="us20")
            forget_sessions(world, "eu10")
        finally:
            api.heal(world.place, "eu10")
        all_converged(world, tenants)
        lost = before + known
        eventually(lambda: sessions_lost(world, "eu10") > lost or None, 20, "the lost session is told")


def test_a_message_that_is_forged_at_the_broker_is_told_by_this_path_too(world: World) -> None:
    from tests.system.test_signatures import assert_not_executed, made_badly, publish
    from tests.system.test_signatures import events as security_events

    with by(world, "amqp"):
        message, reason = made_badly(world, "altered")
        before = security_events(world, "eu10", reason)
        asyncio.run(publish(world, "eu10", message))
        eventually(lambda: security_events(world, "eu10", reason) > before or None, 20, "the event")
        assert_not_executed(world)
