"""The same guarantees by every path and for every identity: nothing is lost, and each effect happens once."""

import time

import pytest

from stack import api
from tests.system.transport import (
    SETTLED_SECONDS,
    by,
    converges_and_is_revoked,
    dead_letters,
    forget_sessions,
    sessions_lost,
    switch,
    under_load,
)
from tests.system.world import REGIONS, World, eventually

pytestmark = pytest.mark.timeout(900)

# Who a region is to the gateway. To the broker it is always its certificate.
IDENTITIES = {"mtls": "eu10", "jwt": "us20"}
# What a path passes on its way.
WAYS = {"stream": "gateway", "amqp": "amqp", "mqtt": "mqtt"}
CUT_SECONDS = 20
LOADED_SECONDS = 3


def test_there_is_a_region_of_each_identity(world: World) -> None:
    assert {world.state.regions[name].auth: name for name in REGIONS} == IDENTITIES


def test_the_estate_converges_and_a_kill_reaches_every_region(world: World, transport: str) -> None:
    converges_and_is_revoked(world, f"estate-{transport}", 5)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("what", ["way", "region"])
def test_it_is_cut_for_20_seconds_under_load_and_healed(world: World, transport: str, identity: str, what: str) -> None:
    region = IDENTITIES[identity]
    with under_load(world, f"{what}-{identity}-{transport}") as tenants:
        time.sleep(LOADED_SECONDS)
        api.cut(world.place, region, WAYS[transport] if what == "way" else "")
        try:
            time.sleep(CUT_SECONDS)
        finally:
            api.heal(world.place, region)
        time.sleep(LOADED_SECONDS)
        healed = len(tenants)
        # The region that was cut follows again while the load goes on.
        world.converged(tenant=tenants[healed - 1], region=region, seconds=SETTLED_SECONDS)


def test_the_broker_is_killed_under_load(world: World, transport: str) -> None:
    before = dead_letters(world)
    with under_load(world, f"broker-{transport}"):
        time.sleep(LOADED_SECONDS)
        pid = api.kill(world.place, "rabbitmq")
        api.wait_ready(world.place, "rabbitmq", after=pid, seconds=120)
        time.sleep(LOADED_SECONDS)
    assert dead_letters(world) == before


@pytest.mark.parametrize("identity", IDENTITIES)
def test_an_mqtt_session_is_lost_under_load(world: World, identity: str) -> None:
    region = IDENTITIES[identity]
    with by(world, "mqtt"), under_load(world, f"session-{identity}") as tenants:
        eventually(lambda: tenants or None, 30, "there is load")
        api.cut(world.place, region)
        try:
            known, lost = len(tenants), sessions_lost(world, region)
            eventually(lambda: len(tenants) > known + 2 or None, 60, "something went to the session")
            forget_sessions(world, region)
        finally:
            api.heal(world.place, region)
        eventually(lambda: sessions_lost(world, region) > lost or None, 60, "the lost session is told")


def test_the_path_is_changed_live_under_load(world: World) -> None:
    before = dead_letters(world)
    with under_load(world, "changed"):
        for transport in ("amqp", "mqtt", "amqp", "stream", "mqtt", "stream"):
            switch(world, transport)
            time.sleep(LOADED_SECONDS)
    assert dead_letters(world) == before
