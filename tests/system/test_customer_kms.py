"""A customer who keeps its L1 in a KMS of its own disables it, is away, and allows it again."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator

import grpc
import hvac
import pytest
from orbital.v1 import crypto_pb2 as crypto
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import Resource

from runtime.rpc import from_rpc_error
from stack.openbao.client import make_client
from stack.openbao.customer import GRANT, NAME, POLICY, PROVIDER
from tests.system.world import REGIONS, World, eventually, tenancy

TENANT = f"owner-{uuid.uuid4().hex[:8]}"
# A key that no other tenant's Link names.
KEY = f"{TENANT}-root"
WHERE = {"tenant": TENANT, "system": "s0", "service": "v0"}


def estate() -> list[Resource]:
    resources = tenancy(TENANT)
    for resource in resources:
        if resource.HasField("link"):
            resource.link.provider, resource.link.key = PROVIDER, KEY
    return resources


@pytest.fixture(scope="module")
def customer(world: World) -> Iterator[hvac.Client]:
    """The customer's own OpenBao, with its owner's rights."""
    address = f"https://127.0.0.1:{world.state.ports[NAME]}"
    token = (world.place / "secrets" / f"{NAME}-root-token").read_text()
    client = make_client(address, world.place / "identity" / "ca.pem", token)
    client.secrets.transit.create_key(KEY)
    world.declare(estate())
    world.converged(tenant=TENANT)
    yield client
    client.sys.create_or_update_policy(GRANT, POLICY)


def wrap(world: World, region: str) -> bytes:
    with world.crypto(region) as stub:
        answer = stub.Wrap(crypto.WrapRequest(**WHERE, plaintext=b"L4 of a customer"), timeout=10)
        ciphertext: bytes = answer.ciphertext
        return ciphertext


def unwrap(world: World, region: str, ciphertext: bytes) -> str:
    """Empty when it is unwrapped, otherwise why not."""
    with world.crypto(region) as stub:
        try:
            stub.Unwrap(crypto.UnwrapRequest(**WHERE, ciphertext=ciphertext), timeout=10)
        except grpc.RpcError as error:
            return from_rpc_error(error).reason
    return ""


def link(world: World) -> dict[str, tuple[str, registry.PlacementState.ValueType]]:
    """What the gateway says of the Link in each region."""
    chosen = registry.PlacementFilter(tenant=TENANT, resource=f"tenants/{TENANT}/links/s0")
    with world.registry() as stub:
        answer = stub.ListPlacements(registry.ListPlacementsRequest(filter=chosen), timeout=10)
    return {one.region: (one.reason, one.state) for one in answer.placements}


def test_a_disabled_l1_is_noticed_without_a_task_and_allowed_again(world: World, customer: hvac.Client) -> None:
    sealed = {region: wrap(world, region) for region in REGIONS}
    begun = time.monotonic()
    customer.sys.delete_policy(GRANT)
    for region in REGIONS:
        eventually(lambda region=region: unwrap(world, region, sealed[region]) == "L1_REFUSED" or None, 20, "refused")
    assert time.monotonic() - begun < 10
    drifting = registry.PlacementState.PLACEMENT_STATE_DRIFTING
    eventually(lambda: set(link(world).values()) == {("L1_REFUSED", drifting)} or None, 20, "reported")
    for region in REGIONS:
        assert f"{TENANT}.s0" not in world.key_material(region, TENANT)["transit"]
    customer.sys.create_or_update_policy(GRANT, POLICY)
    for region in REGIONS:
        eventually(lambda region=region: unwrap(world, region, sealed[region]) == "" or None, 30, "allowed again")
    converged = registry.PlacementState.PLACEMENT_STATE_CONVERGED
    eventually(lambda: set(link(world).values()) == {("", converged)} or None, 20, "reported again")


def test_a_kms_that_is_away_changes_nothing_but_what_is_said(world: World, customer: hvac.Client) -> None:
    sealed = {region: wrap(world, region) for region in REGIONS}
    pid = world.state.parts[NAME].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        converged = registry.PlacementState.PLACEMENT_STATE_CONVERGED
        eventually(lambda: set(link(world).values()) == {("L1_UNREACHABLE", converged)} or None, 30, "said")
        # Longer than an L3 stays in memory: it is loaded anew, without the L1.
        time.sleep(6)
        assert [unwrap(world, region, sealed[region]) for region in REGIONS] == ["", ""]
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: set(link(world).values()) == {("", converged)} or None, 30, "reached again")
