"""What leaves a region, what comes back, and the fuse: over whatever declarations follow each other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1.resource_pb2 import (
    EdgePolicySpec,
    LinkSpec,
    LinkState,
    RegionSpec,
    Resource,
    Selector,
    ServiceSpec,
    SystemSpec,
    TenantSpec,
)
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.change import Plan, plan
from gateway.domain.departure import LEAVING, PlacementState, Step, move, steps
from gateway.domain.fuse import Fuse, check_accepted, departures
from gateway.domain.resource import SPEC_KINDS
from gateway.domain.stored import Stored
from runtime.errors import Precondition
from runtime.kinds import LANES, REVOKING

REGIONS = ("eu10", "us20", "ap30")
LABELS: dict[str, dict[str, str]] = {name: {} for name in REGIONS}
BENEATH = [
    Resource(name="tenants/acme/systems/core", system=SystemSpec()),
    Resource(name="tenants/acme/systems/core/services/api", service=ServiceSpec()),
    Resource(name="tenants/acme/links/core", link=LinkSpec(system="core", provider="hsm", key="acme")),
]


def tenant(*regions: str, **labels: str) -> Resource:
    return Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=regions, match_labels=labels)))


class Harness:
    """What the store keeps, and what regions did of it."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.places: dict[str, dict[str, PlacementState]] = {}
        self.left: dict[tuple[str, str], int] = {}
        self.labels = dict(LABELS)

    def declare(self, *resources: Resource, accepted: int = 0) -> list[Step]:
        result = plan(resources, self.stored, self.labels)
        places = {name: dict(self.places.get(name, {})) for name in result.regions}
        leaving = move(result, self.stored, places)
        removal = departures(result, places)
        assert removal.removed == leaving
        if Fuse().blows(removal):
            check_accepted(removal, leaving if accepted < 0 else accepted)
        self.keep(result)
        made = steps(result, self.stored, places)
        for step in made:
            before = self.places.setdefault(step.name, {}).get(step.region)
            observed = 0 if before is None or step.returns else before.observed
            self.places[step.name][step.region] = PlacementState(observed, step.generation, step.leaving)
            if step.leaving:
                self.left[step.name, step.region] = step.generation
        return made

    def keep(self, result: Plan) -> None:
        for one in result.wanted:
            name = one.resource.name
            number = self.stored[name].identity if name in self.stored else len(self.stored)
            self.stored[name] = Stored(number, one.resource, one.generation, one.effect_generation)
            if one.resource.HasField("region"):
                self.labels[name.rpartition("/")[2]] = dict(one.resource.labels)

    def converge(self) -> None:
        """Every region does what it was told; what has left is only remembered."""
        for here in self.places.values():
            for region, place in here.items():
                here[region] = PlacementState(place.desired, place.desired, place.leaving, gone=place.leaving)

    def present(self, name: str) -> set[str]:
        return {region for region, place in self.places[name].items() if not place.leaving}


def estate(*regions: str) -> Harness:
    harness = Harness()
    harness.declare(tenant(*(regions or REGIONS)), *BENEATH)
    harness.converge()
    return harness


def test_every_kind_that_is_placed_has_a_way_to_leave() -> None:
    assert set(LEAVING) == set(SPEC_KINDS) - {"region"}
    # What held key material, or the permission to use it, proves that it is gone; an edge policy held neither.
    assert {spec for spec, kind in LEAVING.items() if kind not in REVOKING} == {"edge_policy"}


def test_a_region_that_is_left_out_is_left_by_all_that_the_tenant_has_there() -> None:
    harness = estate()
    made = harness.declare(tenant("eu10", "ap30"))
    leaving = {step.name: (step.region, TaskKind.Name(step.kind), LANES[step.kind]) for step in made if step.leaving}
    assert leaving == {
        "tenants/acme": ("us20", "TASK_KIND_RETIRE_TENANT", 1),
        "tenants/acme/links/core": ("us20", "TASK_KIND_UNLINK_KEY", 0),
        "tenants/acme/systems/core": ("us20", "TASK_KIND_PURGE_KEY", 1),
        "tenants/acme/systems/core/services/api": ("us20", "TASK_KIND_PURGE_KEY", 1),
    }
    assert harness.declare(tenant("eu10", "ap30")) == []


def test_a_label_that_a_region_loses_takes_it_out() -> None:
    harness = Harness()
    region = Resource(name="regions/us20", labels={"tier": "gold"}, region=RegionSpec(area="us"))
    harness.declare(region)
    harness.declare(tenant(tier="gold"), *BENEATH)
    harness.converge()
    made = harness.declare(Resource(name="regions/us20", region=RegionSpec(area="us")))
    assert sum(step.leaving for step in made) == 4
    harness.converge()
    back = harness.declare(region)
    assert [step.name for step in back if step.returns] == sorted(harness.places)
    assert all(harness.left[step.name, step.region] < step.generation for step in back)


def test_an_edge_policy_leaves_too() -> None:
    harness = Harness()
    policy = Resource(name="edge-policies/base", edge_policy=EdgePolicySpec(placement=Selector(regions=REGIONS)))
    policy.edge_policy.rules.add(name="all", effect=1)  # type: ignore[arg-type]
    harness.declare(policy)
    harness.converge()
    del policy.edge_policy.placement.regions[:2]
    made = harness.declare(policy)
    assert [(step.region, step.kind) for step in made if step.leaving] == [
        ("eu10", TaskKind.TASK_KIND_SYNC_POLICY),
        ("us20", TaskKind.TASK_KIND_SYNC_POLICY),
    ]


@pytest.mark.parametrize(
    ("systems", "leaving", "fused"), [(4, 4, False), (5, 5, True), (30, 30, True), (60, 12, False), (60, 13, True)]
)
def test_the_fuse_blows_above_a_tenth_and_from_five_on(systems: int, leaving: int, fused: bool) -> None:
    harness = Harness()
    harness.declare(tenant("eu10"))
    more = [Resource(name=f"tenants/acme/systems/s{number}", system=SystemSpec()) for number in range(systems)]
    harness.declare(*more)
    harness.declare(tenant("eu10", "us20"))
    harness.converge()
    placement = SystemSpec(placement=Selector(regions=["eu10"]))
    small = [Resource(name=one.name, system=placement) for one in more[:leaving]]
    # What is declared as it was counts among the placements that the declaration is about.
    declared = [*small, *more[leaving:]]
    if fused:
        with pytest.raises(Precondition) as refused:
            harness.declare(*declared, accepted=leaving - 1)
        assert refused.value.reason == "PLACEMENTS_LEAVE"
        assert f"--accept-departures {leaving}" in refused.value.message
        assert sum(step.leaving for step in harness.declare(*declared, accepted=leaving)) == leaving
    else:
        assert sum(step.leaving for step in harness.declare(*declared)) == leaving


def test_a_tombstone_goes_where_the_resource_is_and_not_where_it_had_left() -> None:
    harness = estate()
    harness.declare(tenant("eu10", "ap30"))
    harness.converge()
    renamed = Resource(name="tenants/acme/links/new", link=LinkSpec(system="core", provider="hsm", key="acme"))
    made = harness.declare(renamed)
    assert [step.region for step in made if step.name == "tenants/acme/links/core"] == ["ap30", "eu10"]


STATES = st.sampled_from([LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED])
PLACED = st.sets(st.sampled_from(REGIONS), min_size=1)


@settings(deadline=None)
@given(st.lists(st.tuples(PLACED, PLACED, STATES, st.booleans()), min_size=1, max_size=10))
def test_whatever_is_declared_a_region_is_left_by_work_and_returned_to_by_a_later_generation(
    history: list[tuple[set[str], set[str], LinkState.ValueType, bool]],
) -> None:
    harness = estate()
    for regions, narrower, state, converge in history:
        link = Resource(name=BENEATH[2].name, link=LinkSpec(system="core", provider="hsm", key="acme", state=state))
        core = Resource(name=BENEATH[0].name, system=SystemSpec(placement=Selector(regions=narrower & regions)))
        before, left = {name: harness.present(name) for name in harness.places}, dict(harness.left)
        made = harness.declare(tenant(*regions), core, link, accepted=-1)
        after = {name: harness.present(name) for name in harness.places}
        where = (narrower & regions) or regions
        assert after == {name: regions if name == "tenants/acme" else where for name in after}
        for step in made:
            stays = step.region in after[step.name]
            assert step.leaving == (not stays)
            assert not step.leaving or step.region in before[step.name]
            back = stays and (step.name, step.region) in left and step.region not in before[step.name]
            assert step.returns == back
            if (step.name, step.region) in left:
                assert step.generation > left[step.name, step.region]
        told = {(step.name, step.region) for step in made}
        for name, here in after.items():
            assert {(name, region) for region in before[name] ^ here} <= told
        if converge:
            harness.converge()
