"""Decommissions: two people, the lease of what stands there, and selectors that match a region no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1.resource_pb2 import EdgePolicySpec, RegionSpec, Resource, Selector, SystemSpec, TenantSpec

from gateway.domain.change import plan
from gateway.domain.decommission import serve_until
from gateway.domain.enrolment import declared
from gateway.domain.retire import retire
from gateway.domain.stored import Stored, tombstone
from runtime.errors import NotFound, OrbitalError, Precondition
from runtime.lease import DEFAULT_SECONDS

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LABELS = {"eu10": {"tier": "gold"}, "us20": {"tier": "gold"}}


def tenant(seconds: int = 0) -> Resource:
    made = Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=["eu10", "us20"])))
    if seconds:
        made.tenant.lease.seconds = seconds
    return made


def region(name: str = "us20") -> Resource:
    return Resource(name=f"regions/{name}", labels={"tier": "gold"}, region=RegionSpec(area="us"))


def without(*resources: Resource) -> dict[str, Stored]:
    """What is stored once us20 is gone."""
    made = plan([region(), region("eu10"), *resources], {}, {})
    stored = {one.resource.name: Stored(number, one.resource, 1, 1) for number, one in enumerate(made.wanted)}
    gone = tombstone(stored["regions/us20"])
    return {**stored, "regions/us20": Stored(stored["regions/us20"].identity, gone.resource, 2, 2)}


@pytest.mark.parametrize("leases", [[60], [60, 3600], [0], [0, 60]])
def test_it_may_serve_as_long_as_the_longest_lease(leases: list[int]) -> None:
    longest = max(timedelta(seconds=one) if one else timedelta(seconds=DEFAULT_SECONDS) for one in leases)
    assert serve_until(NOW, map(tenant, leases)) == NOW + longest
    assert serve_until(None, map(tenant, leases)) is None
    assert serve_until(NOW, []) is None


SELECTORS = st.builds(
    Selector,
    regions=st.lists(st.sampled_from(["eu10", "us20"]), unique=True),
    match_labels=st.sampled_from([{}, {"tier": "gold"}]),
)


@settings(deadline=None)
@given(SELECTORS, SELECTORS)
def test_no_selector_matches_it_whatever_it_says(of_tenant: Selector, of_policy: Selector) -> None:
    policy = EdgePolicySpec(placement=of_policy)
    policy.rules.add(name="all", effect=1)  # type: ignore[arg-type]
    here = [
        Resource(name="tenants/acme", tenant=TenantSpec(placement=of_tenant)),
        Resource(name="tenants/acme/systems/core", system=SystemSpec()),
        Resource(name="edge-policies/base", edge_policy=policy),
    ]
    try:
        stored = without(*here)
    except OrbitalError:
        return
    changed = region("eu10")
    changed.labels["more"] = "yes"
    result = plan([changed], stored, {"eu10": LABELS["eu10"]})
    assert all("us20" not in regions for regions in result.regions.values())


def test_what_is_declared_has_to_leave_it_out() -> None:
    with pytest.raises(Precondition) as refused:
        plan([tenant()], without(tenant()), {"eu10": {}})
    assert (refused.value.reason, refused.value.field) == (
        "REGION_RETIRED",
        "resources[0].tenant.placement.regions[1]",
    )


def test_it_is_declared_anew_and_a_tenants_name_is_not() -> None:
    (wanted,) = plan([region()], without(), {"eu10": {}}).wanted
    assert (wanted.resource.retired, wanted.generation) == (False, 3)


def test_only_an_empty_region_is_retired() -> None:
    stored = {"regions/us20": Stored(1, region(), 1, 1)}
    assert retire(["regions/us20"], stored, {}, {}).wanted[0].resource.retired
    with pytest.raises(Precondition) as refused:
        retire(["regions/us20"], stored, {}, {"us20": 3})
    assert "orbital region decommission us20" in refused.value.message


def test_what_is_gone_is_not_enrolled() -> None:
    assert declared(region(), "us20") == region()
    for found in (None, tombstone(Stored(1, region(), 1, 1)).resource):
        with pytest.raises(NotFound):
            declared(found, "us20")
