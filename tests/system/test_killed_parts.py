"""Parts die in the middle of an apply. Nothing is lost, nothing is done twice, and it converges by itself."""

import os
import time

import pytest
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest

from stack import api
from tests.system.world import REGIONS, SECONDS, World, retried, tenancy

SYSTEMS, SERVICES = 3, 3
PARTS = (
    "postgres", "rabbitmq", "openbao-global", "openbao-eu10", "openbao-us20", "paths",
    "opa-gateway-immediate", "opa-gateway-bulk", "envoy-gateway", "gateway-immediate", "gateway-bulk",
    "opa-eu10-immediate", "opa-eu10-bulk", "envoy-eu10", "region-eu10-immediate", "region-eu10-bulk",
    "opa-us20-immediate", "opa-us20-bulk", "envoy-us20", "region-us20-immediate", "region-us20-bulk",
    "checker-eu10", "checker-us20", "openbao-customer",
    "envoy-edge-eu10", "opa-edge-eu10", "envoy-edge-us20", "opa-edge-us20",
    "console",
)  # fmt: skip
DOWN_SECONDS = 15  # longer than any time limit of a call


def check_material(world: World, tenant: str) -> None:
    """Each key was made exactly once in each region, and works."""
    expected = {
        "transit": [f"{tenant}.s{system}" for system in range(SYSTEMS)],
        "systems": [f"s{system}" for system in range(SYSTEMS)],
        "services": [f"s{system}/v{service}" for system in range(SYSTEMS) for service in range(SERVICES)],
        "links": [f"s{system}" for system in range(SYSTEMS)],
    }
    secret = os.urandom(32)
    for region in REGIONS:
        assert world.key_material(region, tenant) == expected
        vault = world.vault(region)
        for name in expected["transit"]:
            assert vault.read(f"l2/keys/{name}")["data"]["latest_version"] == 1
        with world.crypto(region) as stub:
            about = {"tenant": tenant, "system": "s0", "service": "v0"}
            wrap = WrapRequest(plaintext=secret, **about)
            sealed = retried(lambda stub=stub, wrap=wrap: stub.Wrap(wrap, timeout=SECONDS)).ciphertext
            unwrap = UnwrapRequest(ciphertext=sealed, **about)
            opened = retried(lambda stub=stub, unwrap=unwrap: stub.Unwrap(unwrap, timeout=SECONDS))
            assert opened.plaintext == secret


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_killed_while_an_apply_is_under_way(world: World, part: str) -> None:
    tenant = f"kill-{part}"
    world.declare(tenancy(tenant, SYSTEMS, SERVICES))
    pid = api.kill(world.place, part)
    api.wait_ready(world.place, part, after=pid)
    world.converged(tenant=tenant)
    check_material(world, tenant)


def test_every_part_of_the_list_is_every_part_there_is(world: World) -> None:
    assert set(PARTS) == set(world.state.parts) - {"epmd"}


@pytest.mark.parametrize("part", ["postgres", "rabbitmq", "openbao-eu10", "opa-gateway-bulk"])
def test_a_part_is_away_for_a_while_in_the_middle_of_an_apply(world: World, part: str) -> None:
    tenant = f"away-{part}"
    world.declare(tenancy(tenant, SYSTEMS, SERVICES))
    api.hold(world.place, part)
    try:
        time.sleep(DOWN_SECONDS)
    finally:
        api.release(world.place, part)
    api.wait_ready(world.place, part)
    world.converged(tenant=tenant)
    check_material(world, tenant)


def test_all_of_it_is_killed_and_comes_back_with_everything(world: World) -> None:
    tenant = "kill-all"
    world.declare(tenancy(tenant, SYSTEMS, SERVICES))
    for part in ("supervisor", *world.state.parts):
        api.kill(world.place, part)
    api.up(world.place)
    world.converged(tenant=tenant)
    world.converged()
    check_material(world, tenant)
