"""The numbered flow on the whole topology: declare, converge, serve, rotate, cut and heal, kill."""

import json
import os
import time
from functools import partial

import grpc
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.trace_pb2 import GetTraceRequest
from orbital.v1.trace_pb2_grpc import TraceServiceStub

from stack import api
from tests.system.world import REGIONS, SECONDS, World, eventually, refused, tenancy

L4 = os.urandom(32)


def wrap(world: World, region: str, tenant: str, service: str = "v0") -> bytes:
    with world.crypto(region) as stub:
        request = WrapRequest(tenant=tenant, system="s0", service=service, plaintext=L4)
        return stub.Wrap(request, timeout=SECONDS).ciphertext


def unwrap(world: World, region: str, tenant: str, ciphertext: bytes, service: str = "v0") -> bytes:
    with world.crypto(region) as stub:
        request = UnwrapRequest(tenant=tenant, system="s0", service=service, ciphertext=ciphertext)
        return stub.Unwrap(request, timeout=SECONDS).plaintext


def tasks(world: World, **chosen: str) -> list[registry.TaskStatus]:
    with world.registry() as stub:
        return list(stub.ListTasks(registry.ListTasksRequest(**chosen), timeout=SECONDS).tasks)


def test_the_estate_converges_and_the_second_time_changes_nothing(world: World) -> None:
    applied = world.orbital("apply", "-f", "examples/estate.yaml", "--wait", "--timeout", "120s")
    assert applied.returncode == 0, applied.stderr
    found = json.loads(world.orbital("get", "placements", "-o", "json").stdout)
    assert len(found) > 300
    assert set(found[0]) == {
        "tenant", "resource", "kind", "region", "desired_generation", "observed_generation", "state", "reason",
        "correlation_id", "updated_at",
    }  # fmt: skip
    assert {item["state"] for item in found} == {"converged"}
    assert all(item["desired_generation"] == item["observed_generation"] for item in found)
    before = tasks(world)[0].sequence
    again = world.orbital("apply", "-f", "examples/estate.yaml")
    assert again.returncode == 0, again.stderr
    assert tasks(world)[0].sequence == before


def test_l4_keys_are_wrapped_in_every_region_and_only_by_their_service(world: World) -> None:
    world.declare(tenancy("wrapping"))
    world.converged(tenant="wrapping")
    for region in REGIONS:
        ciphertext = wrap(world, region, "wrapping")
        assert unwrap(world, region, "wrapping", ciphertext) == L4
        other = refused(partial(unwrap, world, region, "wrapping", ciphertext, service="v1"))
        assert other.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("spec", ["system", "service"])
def test_a_rotated_key_still_opens_what_it_closed_before(world: World, spec: str) -> None:
    tenant = f"rotating-{spec}"
    estate = tenancy(tenant)
    world.declare(estate)
    world.converged(tenant=tenant)
    before = {region: wrap(world, region, tenant) for region in REGIONS}
    for resource in estate:
        if resource.WhichOneof("spec") == spec:
            getattr(resource, spec).key_version = 2
    world.declare(estate)
    assert {item.key_version for item in world.converged(tenant=tenant) if spec in item.resource.split("/")[-2]} == {2}
    for region in REGIONS:
        assert unwrap(world, region, tenant, before[region]) == L4


def test_a_region_that_is_cut_off_serves_on_and_catches_up_in_sequence(world: World) -> None:
    estate = tenancy("island")
    world.declare(estate)
    world.converged(tenant="island")
    ciphertext = wrap(world, "us20", "island")
    api.cut(world.place, "us20")
    try:
        for step in range(3):
            for resource in estate:
                resource.labels["step"] = str(step)
            correlation_id = world.declare(estate)
            world.converged(tenant="island", region="eu10")
        assert unwrap(world, "us20", "island", ciphertext) == L4
        with world.registry() as stub:
            chosen = registry.PlacementFilter(tenant="island", region="us20", drifting_only=True)
            behind = stub.ListPlacements(registry.ListPlacementsRequest(filter=chosen), timeout=SECONDS).placements
        assert len(behind) == len(estate)
    finally:
        api.heal(world.place, "us20")
    world.converged(tenant="island")
    done = [task for task in tasks(world, correlation_id=correlation_id) if task.region == "us20"]
    assert {task.state for task in done} == {registry.TaskState.TASK_STATE_DONE}
    eventually(lambda: _connected(world, "us20"), 15, "us20 shows as connected")


def _connected(world: World, name: str) -> bool | None:
    with world.registry() as stub:
        regions = stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS).regions
    return next(region.connected for region in regions if region.resource.name == f"regions/{name}") or None


def test_a_kill_reaches_every_region_and_nothing_undoes_it(world: World) -> None:
    estate = tenancy("doomed", systems=2)
    world.declare(estate)
    world.converged(tenant="doomed")
    ciphertexts = {region: wrap(world, region, "doomed") for region in REGIONS}
    begun = time.monotonic()
    with world.registry() as stub:
        killed = stub.Kill(registry.KillRequest(tenant="doomed", reason="breach"), timeout=SECONDS)
    assert (killed.links, list(killed.regions)) == (2, list(REGIONS))
    world.converged(tenant="doomed", seconds=30)
    elapsed = time.monotonic() - begun
    for region in REGIONS:
        answer = refused(partial(unwrap, world, region, "doomed", ciphertexts[region]))
        assert answer.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert world.key_material(region, "doomed")["transit"] == []
        assert len(world.key_material(region, "doomed")["systems"]) == 2
    again = refused(lambda: world.declare(estate))
    assert again.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "was killed" in again.details()
    assert elapsed < 30


def test_a_trace_tells_every_hop_in_order(world: World) -> None:
    correlation_id = world.declare(tenancy("traced", services=1))
    world.converged(tenant="traced")

    def look() -> list[object] | None:
        with world.channel() as channel:
            trace = TraceServiceStub(channel).GetTrace(GetTraceRequest(correlation_id=correlation_id), timeout=SECONDS)
        return list(trace.hops) if trace.converged else None

    hops = eventually(look, 10, "the job closes")
    stages = ("task", "dispatch", "receive", "decide", "execute", "report")
    by_task: dict[str, list[object]] = {}
    for hop in hops:
        if hop.task_id:
            by_task.setdefault(hop.task_id, []).append(hop)
    assert len(by_task) == 8
    for mine in by_task.values():
        assert {hop.stage for hop in mine} == set(stages)
        assert all(hop.decision_id for hop in mine if hop.stage in ("dispatch", "decide"))
    times = [(hop.time.seconds, hop.time.nanos) for hop in hops]
    assert times == sorted(times)
    assert (hops[0].stage, hops[-1].stage) == ("desired", "converge")
