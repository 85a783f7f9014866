"""A task kind is one row of the contract; whatever else it needs is missed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from gateway.domain.task import drive_kind, effect_kind
from region.domain.intent import KINDS as REGION_KINDS
from region.domain.intent import SPECS
from region.handlers.table import HANDLERS
from runtime import kinds
from tests.unit.region import test_crash, test_purge

ALL = [value.number for value in pb.TaskKind.DESCRIPTOR.values if value.number]
EXAMPLES = {
    "tenant": "tenants/acme",
    "system": "tenants/acme/systems/core",
    "service": "tenants/acme/systems/core/services/billing",
    "link": "tenants/acme/links/core",
    "edge_policy": "edge-policies/door",
}
DISPATCH_TEST = Path(__file__).parents[2] / "policies" / "authz" / "dispatch" / "dispatch_test.rego"


def resources() -> list[Resource]:
    """Every spec, in each of the states that a kind may follow from."""
    made = []
    for spec, name in EXAMPLES.items():
        for retired in (False, True):
            resource = Resource(name=name, retired=retired)
            getattr(resource, spec).SetInParent()
            made.append(resource)
    killed, unlinked, linked, urgent = Resource(), Resource(), Resource(), Resource()
    killed.tenant.state = TenantState.TENANT_STATE_KILLED
    unlinked.link.state, linked.link.state = LinkState.LINK_STATE_UNLINKED, LinkState.LINK_STATE_LINKED
    urgent.system.key_version = urgent.system.key_compromised_below = 2
    return [*made, killed, unlinked, linked, urgent]


@pytest.mark.parametrize("kind", ALL, ids=kinds.KIND_WORDS.__getitem__)
def test_each_kind_is_whole(kind: pb.TaskKind.ValueType) -> None:
    assert kinds.LANES[kind] in (0, 1, 2)
    assert kinds.ABOUT[kind]
    assert kinds.ABOUT[kind] <= kinds.NAMES.keys()
    assert {spec for own, spec in SPECS.items() if kind in REGION_KINDS[own]} == kinds.ABOUT[kind]
    if kind == pb.TASK_KIND_SYNC_METADATA:
        assert kind not in HANDLERS
        return
    assert kind in HANDLERS
    assert HANDLERS[kind].__name__ == kinds.KIND_WORDS[kind].lower()
    assert f'"{kinds.KIND_WORDS[kind]}"' in DISPATCH_TEST.read_text()


def test_each_kind_comes_of_a_declaration() -> None:
    seen = {effect_kind(one, new=new) for one in resources() for new in (False, True)}
    seen |= {drive_kind(one, 1, 1) for one in resources()}
    assert seen == set(ALL)


def test_each_kind_is_interrupted_at_each_of_its_calls() -> None:
    scenarios = [*test_crash.SCENARIOS.values(), *test_purge.SCENARIOS.values()]
    interrupted = {scenario[1]().kind for scenario in scenarios}
    # What touches no key is fenced in one transaction of the region's own database.
    assert interrupted >= set(ALL) - set(kinds.KEYLESS)


def test_names_are_those_of_one_spec_each() -> None:
    for spec, name in EXAMPLES.items():
        assert [other for other, pattern in kinds.NAMES.items() if re.fullmatch(pattern, name)] == [spec]


def test_policies_have_every_kind_with_what_it_may_be_about() -> None:
    table = kinds.table()
    assert table.keys() == {kinds.KIND_WORDS[kind] for kind in ALL}
    for kind in ALL:
        row = table[kinds.KIND_WORDS[kind]]
        allowed = {spec for spec, name in EXAMPLES.items() if re.search(row["resource"], name)}
        assert allowed == kinds.ABOUT[kind]
        assert not [name for name in EXAMPLES.values() if re.search(row["resource"], f"{name}/x\n")]
        assert row["of_tenant"] is ("edge_policy" not in allowed)
        assert row["revokes"] is (kind in kinds.REVOKING)


def test_what_retires_revokes() -> None:
    assert set(kinds.RETIRING) <= set(kinds.REVOKING)
    assert not set(kinds.REVOKING) & set(kinds.KEYLESS)
