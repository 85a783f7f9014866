"""Edge policy: compiled the same whatever the order, kept by generation, and judged by what edges say."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1 import edge_pb2
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.adapters.edge.server import read_status
from region.domain import edge
from region.domain.edge import DesiredBundle, EdgeLimits, EdgeReport
from region.flow.edge import EdgeFleet, ServedBundle, recall_kills
from region.ports.edge import Bundle
from runtime.content import check_content
from runtime.errors import Invalid
from runtime.lenient_json import Json
from tests.odd_json import odd_ones
from tests.unit.region.fakes import Crash, FakeEdges, FakeHost, crashing, fake_parts
from tests.unit.region.make import Estate, task, work, work_all

NAMES = st.sampled_from(["acme", "acme-two", "globex"])
CALLERS = st.sampled_from(
    ["spiffe://orbital/workload/acme/*", "spiffe://orbital/person/operator", "spiffe://orbital/workload/acme/core/pay"]
)
RULES = st.builds(
    rpb.EdgeRule,
    name=st.sampled_from(["a", "b", "c"]),
    effect=st.sampled_from([rpb.EDGE_EFFECT_ALLOW, rpb.EDGE_EFFECT_DENY]),
    callers=st.lists(CALLERS, max_size=2),
    tenants=st.lists(NAMES, max_size=2),
    systems=st.lists(st.sampled_from(["core", "ledger"]), max_size=2),
    services=st.lists(st.sampled_from(["pay", "book"]), max_size=2),
    operations=st.lists(st.sampled_from(sorted(edge.OPERATIONS)), max_size=2),
)
SPECS = st.builds(rpb.EdgePolicySpec, rules=st.lists(RULES, max_size=4, unique_by=lambda rule: rule.name))
POLICIES = st.lists(
    st.builds(
        rpb.Resource,
        name=st.sampled_from([f"edge-policies/p{n}" for n in range(4)]),
        generation=st.integers(1, 9),
        edge_policy=SPECS,
        retired=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda policy: policy.name,
)
KILLED = st.dictionaries(NAMES, st.integers(1, 9), max_size=2)


def policy(generation: int, *, retired: bool = False, effect: int = rpb.EDGE_EFFECT_ALLOW) -> pb.Task:
    resource = rpb.Resource(name="edge-policies/baseline", generation=generation, retired=retired)
    resource.edge_policy.rules.add(name="all", effect=effect)  # type: ignore[arg-type]
    return task(pb.TASK_KIND_SYNC_POLICY, resource)


@given(POLICIES, KILLED, st.randoms(use_true_random=False))
def test_the_order_of_anything_changes_nothing(
    policies: list[rpb.Resource], killed: dict[str, int], shuffle: random.Random
) -> None:
    first = edge.compiled(policies, killed)
    again = [rpb.Resource.FromString(each.SerializeToString()) for each in policies]
    shuffle.shuffle(again)
    for each in again:
        rules = list(each.edge_policy.rules)
        shuffle.shuffle(rules)
        del each.edge_policy.rules[:]
        each.edge_policy.rules.extend(rules)
    second = edge.compiled(again, dict(reversed(killed.items())))
    assert edge.canonical(first) == edge.canonical(second)
    assert edge.revision(first, b"rego") == edge.revision(second, b"rego")


@given(POLICIES, KILLED)
def test_every_living_rule_is_there_under_each_of_its_tenants_and_no_other(
    policies: list[rpb.Resource], killed: dict[str, int]
) -> None:
    found = edge.compiled(policies, killed)
    assert found["killed"] == killed
    expected = {
        (edge.EFFECTS[rule.effect], tenant, f"{each.name}/{rule.name}")
        for each in policies
        if not each.retired
        for rule in each.edge_policy.rules
        for tenant in (rule.tenants or [edge.EVERY])
    }
    filed = {
        (effect, tenant, rule["name"])
        for effect in ("allow", "deny")
        for tenant, rules in found[effect].items()
        for rule in rules
    }
    assert filed == expected


@given(POLICIES, KILLED, KILLED)
def test_a_change_of_what_decides_is_a_new_revision(
    policies: list[rpb.Resource], killed: dict[str, int], other: dict[str, int]
) -> None:
    first, second = (edge.revision(edge.compiled(policies, dead), b"rego") for dead in (killed, other))
    assert (first == second) == (killed == other)
    assert edge.revision(edge.compiled(policies, killed), b"other rego") != first


def test_what_is_not_understood_is_refused_and_not_left_out() -> None:
    with pytest.raises(Invalid):
        edge.check(rpb.EdgePolicySpec(rules=[rpb.EdgeRule(name="a", effect=7)]))  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        edge.check(rpb.EdgePolicySpec(rules=[rpb.EdgeRule(name="a", effect=1, operations=[9])]))  # type: ignore[list-item]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=12))
def test_any_order_of_deliveries_ends_in_the_newest(deliveries: list[tuple[int, bool]]) -> None:
    async def run() -> None:
        parts = fake_parts()
        # One generation has one content, however often it is delivered.
        retired = dict(deliveries)
        for generation, _ in deliveries:
            result = await work(parts, policy(generation, retired=retired[generation]))
            assert result.observed >= generation
        newest = max(retired)
        kept = await parts.edges.kept()
        found = rpb.Resource.FromString(kept.policies[0])
        assert (found.generation, found.retired) == (newest, retired[newest])

    asyncio.run(run())


@pytest.mark.parametrize(("step", "after"), list(itertools.product(range(2), (False, True))))
async def test_a_crash_at_any_call_is_mended_by_the_next_delivery(step: int, after: bool) -> None:
    parts = fake_parts()
    dying, _ = crashing(parts, step, after=after)
    with contextlib.suppress(Crash):
        await work(dying, policy(2))
    await work(parts, policy(2))
    late = await work(parts, policy(1, retired=True))
    assert late.outcome == pb.OUTCOME_STALE
    assert not rpb.Resource.FromString((await parts.edges.kept()).policies[0]).retired


async def test_a_kill_is_known_to_the_edges_and_a_revival_too() -> None:
    parts, estate = fake_parts(), Estate()
    await work(parts, estate.define_tenant())
    await work(parts, estate.kill(2))
    assert (await parts.edges.kept()).killed == {"acme": 2}
    revived = estate.define_tenant(3, state=rpb.TENANT_STATE_ACTIVE)
    dying, _ = crashing(parts, 2, after=False)
    with contextlib.suppress(Crash):
        await work(dying, revived)
    await work(parts, revived)
    assert (await parts.edges.kept()).killed == {}
    await work(parts, estate.kill(2))
    assert (await parts.edges.kept()).killed == {}


async def test_kills_are_recalled_from_the_tenants_own_records() -> None:
    parts, estate = fake_parts(), Estate()
    await work_all(parts, estate.define_tenant(), estate.kill(2), Estate("globex").define_tenant())
    parts = replace(parts, edges=FakeEdges())
    await recall_kills(parts)
    assert (await parts.edges.kept()).killed == {"acme": 2}


async def test_kills_are_recalled_once_and_again_after_a_break() -> None:
    parts, estate = fake_parts(), Estate()
    await work_all(parts, estate.define_tenant(), estate.kill(2))
    edges = FakeEdges()
    dying, _ = crashing(replace(parts, edges=edges), 1, after=False)
    with suppress(Crash, BaseExceptionGroup):
        await recall_kills(dying)
    assert not await edges.complete()
    await recall_kills(replace(parts, edges=edges))
    assert (await edges.kept()).killed == {"acme": 2}
    silent, _ = crashing(replace(parts, edges=parts.edges), 0, after=False)
    await recall_kills(replace(silent, edges=edges))


DESIRED, LIMITS = DesiredBundle("new", 100.0), EdgeLimits(drift=10.0, silence=30.0)


@pytest.mark.parametrize(
    ("heard", "now", "status", "reason"),
    [
        (EdgeReport("e", "new", 101.0, 105.0), 106.0, edge_pb2.EDGE_STATUS_IN_FORCE, ""),
        (EdgeReport("e", "old", 50.0, 105.0), 106.0, edge_pb2.EDGE_STATUS_UPDATING, ""),
        (EdgeReport("e", "old", 50.0, 105.0), 111.0, edge_pb2.EDGE_STATUS_DRIFTING, "EDGE_DRIFT"),
        (EdgeReport("e", "", 0.0, 105.0), 111.0, edge_pb2.EDGE_STATUS_DRIFTING, "EDGE_DRIFT"),
        (
            EdgeReport("e", "old", 50.0, 105.0, "bad signature"),
            106.0,
            edge_pb2.EDGE_STATUS_REFUSED,
            "EDGE_BUNDLE_REFUSED",
        ),
        (
            EdgeReport("e", "new", 50.0, 105.0, "bad signature"),
            106.0,
            edge_pb2.EDGE_STATUS_REFUSED,
            "EDGE_BUNDLE_REFUSED",
        ),
        (EdgeReport("e", "new", 101.0, 105.0), 136.0, edge_pb2.EDGE_STATUS_UNKNOWN, "EDGE_SILENT"),
    ],
)
def test_how_an_edge_stands(heard: EdgeReport, now: float, status: int, reason: str) -> None:
    found = edge.standing(heard, DESIRED, now, LIMITS)
    assert (found.status, found.reason) == (status, reason)
    assert bool(found.message) == bool(reason)


def test_the_fleet_tells_what_is_new_and_forgets_what_is_gone() -> None:
    host = FakeHost()
    fleet = EdgeFleet(host.host(), LIMITS)
    fleet.desire("r1")
    fleet.hear(EdgeReport("a", "r1", host.time, host.time))
    assert [each.status for each in fleet.edges()] == [edge_pb2.EDGE_STATUS_IN_FORCE]
    fleet.desire("r2")
    assert [each.status for each in fleet.edges()] == [edge_pb2.EDGE_STATUS_UPDATING]
    host.time += 11
    assert [(each.status, each.desired_revision) for each in fleet.edges()] == [(edge_pb2.EDGE_STATUS_DRIFTING, "r2")]
    host.time += 25 * 3600
    assert fleet.edges() == []


async def test_who_waits_gets_the_next_bundle_at_once() -> None:
    served = ServedBundle()
    assert await served.newer("", 0.0) is None
    waiting = asyncio.ensure_future(served.newer("", 5.0))
    await asyncio.sleep(0)
    served.put(Bundle("r1", '"r1"', b"1"))
    assert await waiting == Bundle("r1", '"r1"', b"1")
    same = await served.newer('"r1"', 0.01)
    assert same is not None
    assert same.revision == "r1"
    waiting = asyncio.ensure_future(served.newer('"r1"', 5.0))
    await asyncio.sleep(0)
    served.put(Bundle("r2", '"r2"', b"2"))
    newer = await waiting
    assert newer is not None
    assert newer.revision == "r2"


@pytest.mark.parametrize(
    ("said", "revision", "refusal"),
    [
        ({"active_revision": "r1", "last_successful_activation": "2026-11-23T20:50:46.289816501Z"}, "r1", ""),
        ({"code": "bundle_error", "message": "failed to verify"}, "", "failed to verify"),
        ({"code": "bundle_error", "message": "request failed: no route"}, "", ""),
        ({"code": "bundle_error", "message": "server replied with Not Found", "http_code": 404}, "", ""),
    ],
)
def test_what_a_status_says(said: dict[str, object], revision: str, refusal: str) -> None:
    found = read_status("edge-1", Json({"bundles": {"edge": said}}), 7.0)
    assert found is not None
    assert (found.name, found.revision, found.refusal, found.at) == ("edge-1", revision, refusal, 7.0)
    assert (found.since > 0) == bool(revision)
    assert read_status("edge-1", Json({"labels": {}}), 7.0) is None


def test_a_status_of_any_shape_harms_no_other_edge() -> None:
    """One edge's word is in the one list that is told on of all of them: the list can always be sent."""
    said = {"active_revision": "r1", "last_successful_activation": "2026-11-23T20:50:46Z", "code": "c", "message": "m"}
    for report in odd_ones({"bundles": {"edge": said}}):
        host = FakeHost().host()
        fleet = EdgeFleet(host, LIMITS)
        with suppress(Invalid):
            heard = read_status("edge-1", Json(report), host.now())
            if heard is not None:
                fleet.hear(heard)
        told = edge_pb2.ObserveRequest(edges=fleet.edges())
        check_content(told)
        MessageToDict(told)
