"""Policies as a product: taken, changed, tested, pushed to the whole fleet, and in force there."""

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.bundle import build_bundle
from stack.acquire import path as binary
from tests.system.world import ROOT, World, eventually, tenancy


@pytest.fixture
def policies(world: World, tmp_path: Path) -> Iterator[Path]:
    """A copy to change; afterwards the original is in force again."""
    copy = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", copy)
    yield copy
    assert world.orbital("policy", "push").returncode == 0


def change(policies: Path, table: str, **fields: object) -> None:
    path = policies / "data" / f"{table}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def push(world: World, source: Path) -> str:
    done = world.orbital("policy", "push", str(source))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def placements(world: World, tenant: str, region: str) -> list[dict[str, Any]]:
    done = world.orbital("get", "placements", "--tenant", tenant, "--region", region, "-o", "json")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_tenant_is_kept_out_of_a_region_and_can_still_be_killed(world: World, policies: Path) -> None:
    change(policies, "residency", tenants={"resident": {"labels": {"area": "us"}}})
    assert "In force in all" in push(world, policies)
    world.declare(tenancy("resident", services=0))

    def refused() -> bool | None:
        return {row["reason"] for row in placements(world, "resident", "eu10")} == {"RESIDENCY"} or None

    eventually(refused, 30, "refused in eu10")
    world.converged(tenant="resident", region="us20")
    assert world.key_material("eu10", "resident") == {"transit": [], "systems": [], "services": [], "links": []}
    assert world.orbital("kill", "resident", "--reason", "test", "--yes").returncode in (0, 7)
    eventually(lambda: not _linked(world, "resident") or None, 30, "revoked in us20")


def _linked(world: World, tenant: str) -> list[str]:
    return world.key_material("us20", tenant)["transit"]


def test_a_freeze_holds_lane_2_until_its_end(world: World, policies: Path) -> None:
    world.declare(tenancy("frozen", services=0))
    world.converged(tenant="frozen")
    now = dt.datetime.now(dt.UTC)
    window = {"name": "test", "from": (now - dt.timedelta(hours=1)).isoformat(), "to": "2100-01-01T00:00:00Z"}
    change(policies, "freezes", windows=[window])
    push(world, policies)
    world.declare(tenancy("frozen", services=0, tier="gold"))

    def held() -> bool | None:
        rows = [row for row in placements(world, "frozen", "eu10") if row["kind"] != "link"]
        return {row["reason"] for row in rows} == {"FROZEN"} or None

    eventually(held, 30, "lane 2 is held")
    # Lane 1 is not.
    world.declare(tenancy("not-frozen", services=0))
    world.converged(tenant="not-frozen")
    change(policies, "freezes", windows=[])
    push(world, policies)
    world.converged(tenant="frozen", seconds=60)


def test_what_fails_its_tests_or_is_not_ours_is_refused(world: World, policies: Path, tmp_path: Path) -> None:
    before = json.loads(world.orbital("policy", "status", "-o", "json").stdout)["served_revision"]
    change(policies, "freezes", windows=[{"name": "no end", "from": "2026-01-13T00:00:00Z", "to": "soon"}])
    done = world.orbital("policy", "push", str(policies))
    assert done.returncode != 0
    assert b"tests fail" in done.stderr
    stranger = build_bundle(binary("opa"), ROOT / "policies", tmp_path / "keys", tmp_path / "x.tar.gz", {}, {})
    done = world.orbital("policy", "push", str(stranger.path))
    assert done.returncode != 0
    assert b"not signed by our key" in done.stderr
    assert json.loads(world.orbital("policy", "status", "-o", "json").stdout)["served_revision"] == before


def test_engines_that_cannot_confirm_their_bundle_pass_lane_0_alone(world: World, policies: Path) -> None:
    world.declare(tenancy("stale", services=0))
    world.converged(tenant="stale")
    change(policies, "limits", stale_after_seconds=0.001)
    push(world, policies)
    world.declare(tenancy("stale", services=1))

    def held() -> bool | None:
        return "STALE_POLICY" in {row["reason"] for row in placements(world, "stale", "eu10")} or None

    eventually(held, 30, "lane 1 is held")
    done = world.orbital("kill", "stale", "--reason", "test", "--yes")
    assert done.returncode == 0, done.stderr.decode()
    eventually(lambda: not world.key_material("eu10", "stale")["transit"] or None, 30, "revoked")


def test_decisions_of_every_hop_come_back_and_none_is_lost(world: World) -> None:
    correlation = world.declare(tenancy("decided", services=1))
    world.converged(tenant="decided")

    def told() -> list[dict[str, Any]] | None:
        done = world.orbital("decisions", "--correlation", correlation, "-o", "json")
        found: list[dict[str, Any]] = json.loads(done.stdout)
        hops = {(row["policy"], row["engine"]) for row in found}
        wanted = {("dispatch", "opa-gateway-bulk"), ("report", "opa-gateway-bulk")}
        wanted |= {("execute", f"opa-{region}-bulk") for region in ("eu10", "us20")}
        return found if wanted <= hops else None

    found = eventually(told, 30, "decisions of all hops")
    assert all(row["denied"] == 0 and row["revision"] for row in found)
    engines = json.loads(world.orbital("policy", "status", "-o", "json").stdout)["engines"]
    assert {row["lost"] for row in engines} == {0}
    assert all(row["received"] > 0 for row in engines)


def test_an_explanation_names_the_decision_and_its_rules(world: World) -> None:
    task = ("--kind", "LINK_KEY", "--resource", "tenants/acme/links/core")
    for name in ("dispatch", "execute"):
        done = world.orbital_plain("policy", "explain", name, *task, "-o", "json")
        found = json.loads(done.stdout)
        assert found["decision"] == {"allowed": ["1"], "denied": []}, done.stderr
        assert any(rule.endswith(" permitted") for rule in found["rules"])
    call = ("--principal", "spiffe://orbital/person/auditor", "--method", "/orbital.v1.RegistryService/Kill")
    found = json.loads(world.orbital_plain("policy", "explain", "ingress", *call, "-o", "json").stdout)
    assert found["decision"]["reason"] == "ROLE_MISSING"
    assert any(rule.startswith("authz/ingress/ingress.rego:") for rule in found["rules"])
