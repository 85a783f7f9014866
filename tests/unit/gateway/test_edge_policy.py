"""Edge policies as desired state: what is valid, where they belong, what changes, and what regions say of edges."""

from __future__ import annotations

import pytest
from orbital.v1 import edge_pb2
from orbital.v1 import resource_pb2 as rpb
from orbital.v1.registry_pb2 import ChangeAction
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.change import plan
from gateway.domain.edge import check_observed, unheard
from gateway.domain.retire import retire
from gateway.domain.stored import Stored
from gateway.domain.task import drive_kind
from runtime.errors import Invalid, NotFound, Precondition
from runtime.kinds import LANES

LABELS = {"eu10": {"tier": "production"}, "us20": {"tier": "test"}}


def policy(*rules: rpb.EdgeRule, regions: tuple[str, ...] = ("eu10",), **labels: str) -> rpb.Resource:
    found = rpb.Resource(name="edge-policies/baseline")
    found.edge_policy.placement.regions.extend(regions)
    found.edge_policy.placement.match_labels.update(labels)
    found.edge_policy.rules.extend(rules or [rpb.EdgeRule(name="all", effect=rpb.EDGE_EFFECT_ALLOW)])
    return found


def rule(**fields: object) -> rpb.EdgeRule:
    return rpb.EdgeRule(**{"name": "one", "effect": rpb.EDGE_EFFECT_ALLOW, **fields})  # type: ignore[arg-type]


def stored(resource: rpb.Resource) -> dict[str, Stored]:
    return {resource.name: Stored(1, resource, 1, 1)}


def test_it_is_placed_by_regions_and_labels() -> None:
    assert plan([policy()], {}, LABELS).regions == {"edge-policies/baseline": frozenset({"eu10"})}
    assert plan([policy(regions=(), tier="test")], {}, LABELS).regions["edge-policies/baseline"] == {"us20"}
    with pytest.raises(NotFound, match=r"resources\[0\].edge_policy.placement.regions\[0\]"):
        plan([policy(regions=("mars",))], {}, LABELS)


def test_every_change_of_it_travels_as_sync_policy_on_lane_2() -> None:
    for observed in (0, 1, 5):
        kind = drive_kind(policy(), 1, observed)
        assert kind == TaskKind.TASK_KIND_SYNC_POLICY
        assert LANES[kind] == 2


def test_a_changed_rule_reads_as_one_line() -> None:
    before = policy(rule(tenants=["acme"]))
    after = policy(rule(tenants=["globex", "acme"], operations=[2, 1], callers=["spiffe://orbital/workload/acme/*"]))
    changes = plan([after], stored(before), LABELS)
    change = changes.changes[0]
    assert change.action == ChangeAction.CHANGE_ACTION_UPDATE
    assert [(each.path, each.before, each.after) for each in change.fields] == [
        (
            "edge_policy.rules[one]",
            "allow tenants=acme",
            "allow callers=spiffe://orbital/workload/acme/* tenants=acme,globex operations=wrap,unwrap",
        )
    ]
    again = plan([after], stored(changes.wanted[0].resource), LABELS).changes[0]
    assert again.action == ChangeAction.CHANGE_ACTION_NONE


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (rule(name="Not A Name"), "rules[0].name"),
        (rule(effect=0), "rules[0].effect"),
        (rule(effect=9), "rules[0].effect"),
        (rule(callers=["https://orbital/x"]), "rules[0].callers[0]"),
        (rule(callers=["spiffe://orbital/workload/acme*"]), "rules[0].callers[0]"),
        (rule(callers=["spiffe://orbital/*/x"]), "rules[0].callers[0]"),
        (rule(callers=["spiffe://other/workload"]), "rules[0].callers[0]"),
        (rule(callers=[f"spiffe://orbital/x/{n}" for n in range(101)]), "rules[0].callers"),
        (rule(tenants=["*"]), "rules[0].tenants[0]"),
        (rule(operations=[7]), "rules[0].operations[0]"),
    ],
)
def test_what_is_wrong_is_named(wrong: rpb.EdgeRule, field: str) -> None:
    with pytest.raises(Invalid) as error:
        plan([policy(wrong)], {}, LABELS)
    assert error.value.field == f"resources[0].edge_policy.{field}"


def test_rules_are_there_and_distinct() -> None:
    with pytest.raises(Invalid, match="there twice"):
        plan([policy(rule(), rule())], {}, LABELS)
    empty = policy()
    del empty.edge_policy.rules[:]
    with pytest.raises(Invalid, match="0 rules"):
        plan([empty], {}, LABELS)


def test_retired_it_leaves_a_tombstone_that_travels() -> None:
    before = policy()
    found = retire([before.name], stored(before), {before.name: frozenset({"eu10"})})
    assert found.wanted[0].resource.retired
    assert drive_kind(found.wanted[0].resource, 2, 1) == TaskKind.TASK_KIND_SYNC_POLICY
    with pytest.raises(Precondition, match="retired"):
        plan([before], {before.name: Stored(1, found.wanted[0].resource, 2, 2)}, LABELS)


def seen(**fields: object) -> edge_pb2.Edge:
    return edge_pb2.Edge(**{"name": "edge-1", "status": 1, **fields})  # type: ignore[arg-type]


def test_what_a_region_says_of_its_edges_is_checked() -> None:
    check_observed([seen(), seen(name="edge-2")])
    for wrong in (
        [seen(name="")],
        [seen(), seen()],
        [seen(status=0)],
        [seen(region="eu10")],
        [seen(revision="r" * 65)],
    ):
        with pytest.raises(Invalid):
            check_observed(wrong)


def test_of_a_silent_region_nothing_is_claimed() -> None:
    edge = seen(revision="r1")
    unheard(edge, 33.0)
    assert (edge.status, edge.reason, edge.revision) == (edge_pb2.EDGE_STATUS_UNKNOWN, "REGION_SILENT", "r1")
    assert "33 s" in edge.message
