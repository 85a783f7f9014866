"""The edge of a region: its policy, a kill that reaches its decision, and what is seen of one that is not as new."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from orbital.v1 import edge_pb2
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.crypto_pb2_grpc import CryptoServiceStub
from orbital.v1.resource_pb2 import EDGE_EFFECT_ALLOW, EDGE_EFFECT_DENY, EdgePolicySpec, EdgeRule, Resource, Selector

from runtime.bundle import ensure_keys
from runtime.rpc import OPTIONS
from stack import api
from tests.system.world import REGIONS, SECONDS, World, eventually, refused, retried, tenancy

L4 = bytes(range(32))
DENIED = grpc.StatusCode.PERMISSION_DENIED


def policy(name: str, *rules: EdgeRule, regions: tuple[str, ...] = REGIONS) -> Resource:
    spec = EdgePolicySpec(placement=Selector(regions=regions), rules=rules)
    return Resource(name=f"edge-policies/{name}", edge_policy=spec)


OPEN = policy("open", EdgeRule(name="everybody", effect=EDGE_EFFECT_ALLOW))
# About nobody: a stack on which these tests ran before may still have it otherwise.
NOBODY = EdgeRule(name="nobody", effect=EDGE_EFFECT_DENY, tenants=["nobody"])


def edges(world: World) -> dict[str, edge_pb2.Edge]:
    with world.registry() as stub:
        answer = stub.ListEdges(registry.ListEdgesRequest(), timeout=SECONDS)
    return {edge.region: edge for edge in answer.edges}


def all_in_force(world: World, before: Mapping[str, str]) -> bool | None:
    """True once each edge has the newest policy of its region, which is another than `before`."""
    found = edges(world)
    fresh = all(
        each.status == edge_pb2.EDGE_STATUS_IN_FORCE and each.revision != before.get(each.region)
        for each in found.values()
    )
    return True if fresh and len(found) == len(REGIONS) else None


def keep(world: World, one: Resource) -> None:
    """Declare the policy, and wait until it is in force at the edges of its regions."""
    before = edges(world)
    changed = world.declare([one])
    placed = one.edge_policy.placement.regions if changed else []
    old = {region: before[region].revision for region in placed if region in before}
    eventually(lambda: all_in_force(world, old), 30, "the edges have the new policy")


@contextmanager
def at_edge(world: World, region: str, tenant: str) -> Iterator[grpc.Channel]:
    """A channel to the region's edge, as the workload whose keys are used."""
    key, chain = api.workload(world.place, f"{tenant}/s0/v0")
    authority = (world.place / "identity" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority, key, chain)
    with grpc.secure_channel(world.state.regions[region].edge, credentials, options=OPTIONS) as channel:
        yield channel


def wrap(world: World, region: str, tenant: str, identity: str = "") -> bytes:
    channels = world.channel(identity, world.state.regions[region].edge) if identity else at_edge(world, region, tenant)
    with channels as channel:
        request = WrapRequest(tenant=tenant, system="s0", service="v0", plaintext=L4)
        return retried(lambda: CryptoServiceStub(channel).Wrap(request, timeout=SECONDS).ciphertext)


def reason(error: grpc.RpcError) -> str:
    return str(dict(error.trailing_metadata()).get("x-orbital-reason", ""))


@pytest.fixture(scope="module")
def tenant(world: World) -> str:
    world.declare(tenancy("edged"))
    for one in (OPEN, policy("closed", NOBODY, regions=("eu10",)), policy("forged", NOBODY, regions=("eu10",))):
        keep(world, one)
    world.converged(tenant="edged")
    return "edged"


def test_an_edge_enforces_what_was_declared(world: World, tenant: str) -> None:
    for region in REGIONS:
        assert wrap(world, region, tenant)
    denied = EdgeRule(name="no-edged", effect=EDGE_EFFECT_DENY, tenants=[tenant])
    keep(world, policy("closed", denied, regions=("eu10",)))
    error = refused(partial(wrap, world, "eu10", tenant))
    assert (error.code(), reason(error)) == (DENIED, "EDGE_DENIED")
    assert wrap(world, "us20", tenant)
    keep(world, policy("closed", NOBODY, regions=("eu10",)))
    assert wrap(world, "eu10", tenant)


def test_an_edge_lets_nobody_do_what_the_region_would_refuse(world: World, tenant: str) -> None:
    """The policy at the edge allows everybody; the region decides about the caller once more."""
    for person in ("auditor", "operator"):
        error = refused(partial(wrap, world, "eu10", tenant, person))
        assert (error.code(), reason(error)) == (DENIED, "NOT_A_WORKLOAD")


def test_a_policy_that_is_retired_is_in_force_no_more(world: World, tenant: str) -> None:
    brief = policy(f"brief-{time.time_ns()}", EdgeRule(name="none", effect=EDGE_EFFECT_DENY, tenants=[tenant]))
    keep(world, brief)
    assert reason(refused(partial(wrap, world, "eu10", tenant))) == "EDGE_DENIED"
    done = world.orbital("retire", brief.name, "--reason", "a test", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    eventually(lambda: wrap_passes(world, tenant), 20, "the edge has let go of the policy")


def wrap_passes(world: World, tenant: str) -> bytes | None:
    try:
        return wrap(world, "eu10", tenant)
    except grpc.RpcError:
        return None


def test_a_kill_reaches_the_decision_of_every_edge(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    victim = f"killed-{time.time_ns()}"
    world.declare(tenancy(victim))
    world.converged(tenant=victim)
    ciphertexts = {region: wrap(world, region, victim) for region in REGIONS}
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=victim, reason="breach"), timeout=SECONDS)
    confirmed = time.monotonic()
    with ThreadPoolExecutor(len(REGIONS)) as pool:
        waiting = {region: pool.submit(first_refusal, world, region, victim, ciphertexts[region]) for region in REGIONS}
    took = {region: found.result() - confirmed for region, found in waiting.items()}
    told = ", ".join(f"{region} {seconds * 1000:.0f} ms" for region, seconds in took.items())
    with capsys.disabled():
        sys.stdout.write(f"\nfrom the confirmation of a kill to the first refusal at the edge itself: {told}\n")
    assert all(seconds < 10 for seconds in took.values()), took


def first_refusal(world: World, region: str, tenant: str, ciphertext: bytes) -> float:
    """When the edge itself refused: its policy says PERMISSION_DENIED, the region FAILED_PRECONDITION."""
    request = UnwrapRequest(tenant=tenant, system="s0", service="v0", ciphertext=ciphertext)
    deadline = time.monotonic() + 30
    with at_edge(world, region, tenant) as channel:
        stub = CryptoServiceStub(channel)
        while time.monotonic() < deadline:
            try:
                stub.Unwrap(request, timeout=SECONDS)
            except grpc.RpcError as error:
                if (error.code(), reason(error)) == (DENIED, "TENANT_KILLED"):
                    return time.monotonic()
            time.sleep(0.005)
    raise AssertionError(f"the edge of {region} never refused")


def flag(world: World, region: str) -> registry.ListFlagsResponse | None:
    with world.registry() as stub:
        flags = stub.ListFlags(registry.ListFlagsRequest(region=region), timeout=SECONDS).flags
    return next((each for each in flags if each.component == "edges"), None)


@pytest.fixture
def another_key(world: World) -> Iterator[None]:
    """eu10 signs with a key that its edge does not trust."""
    own = world.place / "secrets" / "edge-eu10"
    aside, stranger = own.with_name("edge-eu10-aside"), Path(own.parent / "stranger")
    ensure_keys(stranger)
    shutil.copytree(own, aside)
    shutil.copyfile(stranger / "bundle.key", own / "bundle.key")
    try:
        before = api.kill(world.place, "region-eu10-immediate")
        api.wait_ready(world.place, "region-eu10-immediate", after=before)
        yield
    finally:
        shutil.copyfile(aside / "bundle.key", own / "bundle.key")
        before = api.kill(world.place, "region-eu10-immediate")
        api.wait_ready(world.place, "region-eu10-immediate", after=before)
        shutil.rmtree(aside)
        shutil.rmtree(stranger)


@pytest.mark.usefixtures("another_key")
def test_a_bundle_with_a_wrong_signature_is_refused_and_flagged(world: World, tenant: str) -> None:
    old = eventually(lambda: edges(world).get("eu10"), 20, "eu10 speaks of its edge")
    world.declare(
        [policy("forged", EdgeRule(name="none", effect=EDGE_EFFECT_DENY, tenants=[tenant]), regions=("eu10",))]
    )

    def is_refused() -> edge_pb2.Edge | None:
        found = edges(world).get("eu10")
        return found if found and found.status == edge_pb2.EDGE_STATUS_REFUSED else None

    found = eventually(is_refused, 20, "the refusal is known to the control plane")
    assert found.reason == "EDGE_BUNDLE_REFUSED"
    assert found.revision == old.revision
    assert wrap(world, "eu10", tenant)

    def is_flagged() -> bool | None:
        """The process that serves the edges was started anew a moment ago, which may be a flag for a while."""
        raised = flag(world, "eu10")
        return True if raised and raised.reason == "EDGE_BUNDLE_REFUSED" else None

    eventually(is_flagged, 20, "the refusal is a flag")


def test_after_that_the_right_key_brings_the_newest_into_force(world: World, tenant: str) -> None:
    error = eventually(lambda: denied_at_last(world, tenant), 30, "the policy that was held up is in force")
    assert reason(error) == "EDGE_DENIED"
    keep(world, policy("forged", NOBODY, regions=("eu10",)))
    eventually(lambda: True if flag(world, "eu10") is None else None, 20, "the flag is taken down")


def denied_at_last(world: World, tenant: str) -> grpc.RpcError | None:
    try:
        wrap(world, "eu10", tenant)
    except grpc.RpcError as error:
        return error
    return None


def test_an_edge_that_stays_on_an_old_policy_is_drift(world: World, tenant: str) -> None:
    envoy = "envoy-edge-us20"
    api.hold(world.place, envoy)
    try:
        number = str(time.time_ns())
        extra = EdgeRule(name="late", effect=EDGE_EFFECT_DENY, tenants=[f"t{number}"])
        world.declare([policy("late", extra, regions=("us20",))])

        def drifts() -> edge_pb2.Edge | None:
            found = edges(world).get("us20")
            return found if found and found.status == edge_pb2.EDGE_STATUS_DRIFTING else None

        found = eventually(drifts, 30, "the edge is told to drift")
        assert found.reason == "EDGE_DRIFT"
        assert found.revision != found.desired_revision
        raised = eventually(lambda: flag(world, "us20"), 20, "there is a flag")
        assert raised.reason in ("EDGE_DRIFT", "EDGE_SILENT")
    finally:
        api.release(world.place, envoy)
    eventually(lambda: all_in_force(world, {}), 40, "the edge has caught up")
    rows = json.loads(world.orbital("get", "edges", "-o", "json").stdout)
    assert {(row["region"], row["edge"], row["status"]) for row in rows} == {
        (name, "edge-1", "in_force") for name in REGIONS
    }
    assert all(row["revision"] == row["desired_revision"] and row["since"] for row in rows)
    assert wrap(world, "us20", tenant)
