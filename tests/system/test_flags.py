"""Real faults, the flag that each of them gives, and how soon it is there and gone again."""

import json
import resource
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from orbital.v1 import flag_pb2 as pb
from orbital.v1 import registry_pb2 as registry

from stack import api, sealing
from tests.system.flags import (
    CRITICAL,
    DEGRADED,
    OUT,
    REGION,
    SOON,
    UNKNOWN,
    WARNING,
    Record,
    flags,
    frozen,
    healthy,
    held,
    local,
    raised,
    status,
    token_away,
    told,
)
from tests.system.world import SECONDS, World, eventually, tenancy


@pytest.fixture(autouse=True)
def begins_and_ends_healthy(world: World) -> Iterator[None]:
    healthy(world, 60)
    yield
    healthy(world, 60)


def check_one(world: World, fault, flag: tuple[str, set[str], int, int], measured: Record, part: str = "") -> pb.Flag:
    """The fault gives this flag and no other, with evidence, and clears."""
    component, reasons, expected, severity = flag
    began = time.monotonic()
    with fault:
        found = raised(world, component, reasons)
        measured("flag", time.monotonic() - began)
        time.sleep(1.5)
        now = flags(world)
        assert set(now) == {component}, told(now)
        assert (now[component].status, now[component].severity) == (expected, severity)
        assert now[component].evidence
        assert now[component].message
        assert now[component].since.seconds
        assert now[component].next_check.seconds
        assert status(world) == expected
        assert flags(world, "us20") == {}
    if part:
        api.wait_ready(world.place, part)
    back = time.monotonic()
    healthy(world)
    measured("clear", time.monotonic() - back)
    return found


def test_the_sidecar_is_down_and_what_follows_is_beneath_that_one_flag(world: World, measured: Record) -> None:
    """Before the others: a sidecar suffers from each of their faults too, and so many in a minute are flapping."""
    began = time.monotonic()

    def seen() -> dict:
        return {flag["component"]: flag for flag in local(world, "/healthz")[1]["flags"]}

    with held(world, "envoy-eu10"):
        eventually(lambda: seen().get("envoy"), SOON, "the region sees that its sidecar is away")
        measured("flag in the region", time.monotonic() - began)
        raised(world, "checker", {"CHECKER_SILENT"}, 20)
        now = seen()
        assert set(now) == {"envoy"}, now
        assert (now["envoy"]["reason"], now["envoy"]["status"]) == ("ENVOY_UNREACHABLE", "out_of_sync")
        assert {f"{part}: SIDECAR_UNREACHABLE" for part in ("gateway", "openbao", "hsm")} <= set(
            now["envoy"]["consequences"]
        )
    api.wait_ready(world.place, "envoy-eu10")
    back = time.monotonic()
    healthy(world, 60)
    measured("clear", time.monotonic() - back)


def test_openbao_is_down(world: World, measured: Record) -> None:
    flag = ("openbao", {"OPENBAO_UNREACHABLE"}, OUT, CRITICAL)
    check_one(world, held(world, "openbao-eu10"), flag, measured, "openbao-eu10")


def test_openbao_is_frozen(world: World, measured: Record) -> None:
    flag = ("openbao", {"OPENBAO_UNREACHABLE"}, OUT, CRITICAL)
    check_one(world, frozen(world, "openbao-eu10"), flag, measured)


def test_the_token_of_the_hsm_is_away(world: World, measured: Record) -> None:
    flag = ("hsm", {"HSM_UNREACHABLE", "HSM_TOKEN_MISSING"}, OUT, CRITICAL)
    check_one(world, token_away(world, REGION), flag, measured)


def test_while_a_region_is_out_of_sync_its_lane_2_waits_as_policy_says(world: World, measured: Record) -> None:
    tenant = f"held-{secrets.token_hex(3)}"
    world.declare(tenancy(tenant, systems=1, services=1))
    world.converged(tenant=tenant)

    def region() -> registry.Region:
        with world.registry() as stub:
            regions = stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS).regions
        return next(one for one in regions if one.resource.name == f"regions/{REGION}")

    with token_away(world, REGION):
        raised(world, "hsm", {"HSM_UNREACHABLE", "HSM_TOKEN_MISSING"})
        held = eventually(lambda: list(region().holds) or None, SOON, "lane 2 is held")
        assert [(hold.lane, hold.reason) for hold in held] == [(2, "REGION_OUT_OF_SYNC")]
        assert "hsm HSM_" in held[0].message
        assert list(flags(world)["hsm"].effects) == ["lane 2 is held: REGION_OUT_OF_SYNC"]
        # Labels alone: metadata, which travels on lane 2 and needs no HSM.
        correlation = world.declare(tenancy(tenant, systems=1, services=1, turn="2"))
        with world.registry() as stub:

            def behind() -> set[str]:
                chosen = registry.PlacementFilter(tenant=tenant, correlation_id=correlation)
                found = stub.ListPlacements(registry.ListPlacementsRequest(filter=chosen), timeout=SECONDS).placements
                return {one.region for one in found if one.desired_generation > one.observed_generation}

            eventually(lambda: behind() == {REGION} or None, 15, "the other region goes on")
            time.sleep(3)
            assert behind() == {REGION}
    began = time.monotonic()
    world.converged(tenant=tenant, seconds=20)
    measured("converged after the cause was gone", time.monotonic() - began)
    assert not region().holds


def test_rabbitmq_is_down(world: World, measured: Record) -> None:
    """Every region says so: nothing reaches any of them by it."""
    began = time.monotonic()
    with held(world, "rabbitmq"):
        found = raised(world, "rabbitmq", {"RABBITMQ_UNREACHABLE"})
        measured("flag", time.monotonic() - began)
        assert (found.status, found.severity) == (OUT, CRITICAL)
        eventually(lambda: flags(world, "us20").get("rabbitmq"), SOON, "the flag of us20")
        time.sleep(1.5)
        assert set(flags(world)) == {"rabbitmq"}, told(flags(world))
    api.wait_ready(world.place, "rabbitmq")
    back = time.monotonic()
    healthy(world)
    measured("clear", time.monotonic() - back)


@pytest.mark.parametrize("role", ["immediate", "bulk"])
def test_a_process_of_the_region_is_down(world: World, measured: Record, role: str) -> None:
    part = f"region-eu10-{role}"
    found = check_one(
        world, held(world, part), (f"region-{role}", {"REGION_UNREACHABLE"}, OUT, CRITICAL), measured, part
    )
    # What the process of lane 0 is asked for, its L1 providers and the edges, is not known without it.
    expected = (
        {"hsm: PROVIDER_NOT_TRIED", "kms: PROVIDER_NOT_TRIED", "edges: EDGES_UNREACHABLE"}
        if role == "immediate"
        else set()
    )
    assert {line for line in found.consequences if not line.startswith("envoy: REGION_")} <= expected


def test_the_engine_of_lane_0_is_down(world: World, measured: Record) -> None:
    part = "opa-eu10-immediate"
    check_one(world, held(world, part), ("opa-immediate", {"OPA_UNREACHABLE"}, OUT, CRITICAL), measured, part)


def test_without_the_engine_that_is_asked_no_probe_is_made_and_the_region_is_unknown(
    world: World, measured: Record
) -> None:
    began = time.monotonic()
    with held(world, "opa-eu10-bulk"):
        found = raised(world, "policy", {"POLICY_UNAVAILABLE"})
        measured("flag", time.monotonic() - began)
        assert (found.status, found.severity) == (UNKNOWN, WARNING)
        assert status(world) == UNKNOWN

        def made() -> dict[str, float]:
            return {name: samples[-1]["at"] for name, samples in local(world, "/checks")[1]["checks"].items()}

        before = made()
        time.sleep(6)
        assert made() == before
        now = flags(world)
        assert set(now) == {"policy"}
        assert "openbao: EVIDENCE_STALE" in now["policy"].consequences
        assert local(world, "/healthz")[0] == 503
    api.wait_ready(world.place, "opa-eu10-bulk")
    back = time.monotonic()
    healthy(world)
    measured("clear", time.monotonic() - back)
    assert local(world, "/healthz")[0] == 200


def test_the_gateway_cannot_be_reached(world: World, measured: Record) -> None:
    began = time.monotonic()
    api.cut(world.place, REGION)
    try:

        def look() -> dict | None:
            found = {flag["component"]: flag for flag in local(world, "/healthz")[1]["flags"]}
            return found.get("gateway")

        found = eventually(look, SOON, "the region sees that its gateway is away")
        measured("flag in the region", time.monotonic() - began)
        assert (found["reason"], found["status"]) == ("GATEWAY_UNREACHABLE", "out_of_sync")
        silent = raised(world, "checker", {"CHECKER_SILENT"}, 20)
        measured("unknown at the gateway", time.monotonic() - began)
        assert silent.status == UNKNOWN
        assert status(world) == UNKNOWN
        assert local(world, "/readyz")[0] == 200
    finally:
        api.heal(world.place, REGION)
    back = time.monotonic()
    healthy(world)
    measured("clear", time.monotonic() - back)


@contextmanager
def full_for_logs(world: World, part: str) -> Iterator[None]:
    """What the part writes to a file beyond its first bytes fails, as on a full disk."""
    pid = world.state.parts[part].pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_openbao_cannot_audit(world: World, measured: Record) -> None:
    """Some time after its other faults, which would be flapping together."""
    flag = ("openbao", {"OPENBAO_AUDIT_FAILING"}, OUT, CRITICAL)
    check_one(world, full_for_logs(world, "openbao-eu10"), flag, measured)


def test_the_sidecar_of_an_edge_is_down(world: World, measured: Record) -> None:
    """Its region is degraded, and no more than that: whoever goes to the region itself is served."""
    flag = ("envoy-edges", {"EDGE_SIDECAR_UNREACHABLE"}, DEGRADED, WARNING)
    found = check_one(world, held(world, "envoy-edge-eu10"), flag, measured, "envoy-edge-eu10")
    assert found.message.startswith("edge-eu10: ")


def test_a_silent_checker_is_never_healthy(world: World, measured: Record) -> None:
    with held(world, "checker-eu10"):
        began = time.monotonic()
        found = raised(world, "checker", {"CHECKER_SILENT"}, 20)
        measured("unknown", time.monotonic() - began)
        assert (found.status, found.severity) == (UNKNOWN, WARNING)
        assert status(world) == UNKNOWN


def test_the_command_line_shows_flags(world: World) -> None:
    with held(world, "openbao-us20"):
        eventually(lambda: flags(world, "us20").get("openbao"), SOON, "the flag of us20")
        shown = json.loads(world.orbital("get", "flags", "-o", "json").stdout)
        (flag,) = [one for one in shown if one["region"] == "us20"]
        wanted = {"region", "component", "status", "severity", "reason", "evidence", "since", "next_check"}
        assert wanted | {"correlation_id"} <= flag.keys()
        assert (flag["component"], flag["status"], flag["reason"]) == ("openbao", "out_of_sync", "OPENBAO_UNREACHABLE")
        regions = {
            one["name"]: one["status"] for one in json.loads(world.orbital("get", "regions", "-o", "json").stdout)
        }
        assert regions == {"eu10": "healthy", "us20": "out_of_sync"}


def test_openbao_is_sealed(world: World, measured: Record) -> None:
    """A static seal opens again at the next start alone."""
    began = time.monotonic()
    correlation_id = sealing.seal(world.place, REGION)
    found = raised(world, "openbao", {"OPENBAO_SEALED"})
    measured("flag", time.monotonic() - began)
    assert (found.status, found.severity) == (OUT, CRITICAL)
    assert {item.name: item.value for item in found.evidence}["sealed"] == "true"
    assert found.correlation_id == correlation_id
    sealing.unseal(world.place, REGION)
    back = time.monotonic()
    healthy(world, 60)
    measured("clear", time.monotonic() - back)
