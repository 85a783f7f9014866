"""Whatever differs between two declarations is a difference, and what belongs nowhere is refused."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1.registry_pb2 import ChangeAction
from orbital.v1.resource_pb2 import EdgePolicySpec, Resource, Selector, SystemSpec, TenantSpec

from gateway.domain.change import Stored, plan
from gateway.domain.resource import normalize
from runtime.errors import Invalid, OrbitalError

REGIONS = {"eu10": {"tier": "production"}, "us20": {"tier": "production", "zone": "west"}}
BASES = {
    "region": Resource(name="regions/ap30"),
    "tenant": Resource(name="tenants/acme"),
    "system": Resource(name="tenants/acme/systems/core"),
    "service": Resource(name="tenants/acme/systems/core/services/pay"),
    "link": Resource(name="tenants/acme/links/core"),
    "edge_policy": Resource(name="edge-policies/shop"),
}
# What people do not declare.
OUTPUT = {"tenant.state", "tenant.unlinked_by_kill"}


def base(spec: str) -> Resource:
    resource = Resource()
    resource.CopyFrom(BASES[spec])
    getattr(resource, spec).SetInParent()
    if spec in ("tenant", "edge_policy"):
        getattr(resource, spec).placement.regions.append("eu10")
    if spec == "edge_policy":
        resource.edge_policy.rules.add(name="all", effect=1)
    if spec == "link":
        resource.link.system, resource.link.provider, resource.link.key = "core", "hsm", "k"
    return resource


def stored(*others: Resource) -> dict[str, Stored]:
    kept = [base("tenant"), base("system"), *others]
    return {item.name: Stored(number, normalize(item, "r"), 1, 1) for number, item in enumerate(kept)}


FIELDS = [
    (spec, field.name)
    for spec in BASES
    for field in Resource.DESCRIPTOR.fields_by_name[spec].message_type.fields
    if f"{spec}.{field.name}" not in OUTPUT
]


def altered(resource: Resource, spec: str, name: str) -> Resource:
    """The same but for that one field."""
    after = Resource()
    after.CopyFrom(resource)
    body = getattr(after, spec)
    field = body.DESCRIPTOR.fields_by_name[name]
    if name == "placement":
        body.placement.regions[:] = ["us20", "eu10"]
    elif name == "rules":
        body.rules.add(name="other", effect=1)
    elif name == "lease":
        body.lease.seconds, body.lease.nanos = 1, 900_000_000
    elif field.is_repeated:
        getattr(body, name)[:] = ["other"]
    elif field.enum_type is not None:
        now = getattr(body, name)
        setattr(body, name, next(number for number in field.enum_type.values_by_number if number not in (now, 0, 1)))
    elif name == "key_compromised_below":
        body.key_version, body.key_compromised_below = 2, 2
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        setattr(body, name, "other")
    else:
        setattr(body, name, 2)
    return after


@pytest.mark.parametrize(("spec", "name"), FIELDS, ids=[f"{spec}.{name}" for spec, name in FIELDS])
def test_a_field_that_differs_changes_something_or_is_refused(spec: str, name: str) -> None:
    before = base(spec)
    known = stored(before)
    try:
        (change,) = plan([altered(before, spec, name)], known, REGIONS).changes
    except OrbitalError:
        return
    assert change.action == ChangeAction.CHANGE_ACTION_UPDATE
    assert change.fields


LEASES = st.tuples(st.integers(1, 3), st.sampled_from([0, 1, 900_000_000, 999_999_999]))


@given(LEASES, LEASES)
def test_leases_that_differ_at_all_differ(first: tuple[int, int], second: tuple[int, int]) -> None:
    before, after = base("tenant"), base("tenant")
    before.tenant.lease.seconds, before.tenant.lease.nanos = first
    after.tenant.lease.seconds, after.tenant.lease.nanos = second
    (change,) = plan([after], stored(before), REGIONS).changes
    assert (change.action == ChangeAction.CHANGE_ACTION_NONE) == (first == second)


SELECTORS = st.builds(
    Selector,
    match_labels=st.dictionaries(
        st.sampled_from(["tier", "zone", "tire", "Tier"]),
        st.sampled_from(["production", "production ", "prodution", "west", "", "WEST"]),
        max_size=3,
    ),
)


def placed(spec: str, selector: Selector) -> Resource:
    if spec == "tenant":
        return Resource(name="tenants/new", tenant=TenantSpec(placement=selector))
    if spec == "system":
        return Resource(name="tenants/acme/systems/new", system=SystemSpec(placement=selector))
    policy = EdgePolicySpec(placement=selector)
    policy.rules.add(name="all", effect=1)
    return Resource(name="edge-policies/new", edge_policy=policy)


@pytest.mark.parametrize("spec", ["tenant", "system", "edge_policy"])
@given(selector=SELECTORS)
def test_what_would_be_in_no_region_is_refused_and_the_selector_named(spec: str, selector: Selector) -> None:
    resource = placed(spec, selector)
    wanted = dict(selector.match_labels).items()
    here = ["eu10"] if spec == "system" else [*REGIONS]
    # A System without a selector is wherever its tenant is.
    if any(wanted <= REGIONS[name].items() for name in here) and (wanted or spec == "system"):
        result = plan([resource], stored(), REGIONS)
        assert result.regions[resource.name]
        assert all(change.regions for change in result.changes)
        return
    with pytest.raises(Invalid) as raised:
        plan([resource], stored(), REGIONS)
    assert raised.value.reason == "NO_REGION_MATCHES"
    assert raised.value.field.startswith(f"resources[0].{spec}.placement")
    assert all(value in raised.value.message for value in selector.match_labels.values())
