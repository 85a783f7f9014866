"""Whose L1 key a Link may name: names that no provider has, names of the platform, and keys of other tenants."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, Selector, SystemSpec, TenantSpec

from gateway.domain import links
from gateway.domain.change import Plan, plan
from gateway.domain.resource import normalize
from gateway.domain.retire import retire
from gateway.domain.stored import Stored
from runtime.errors import Invalid, OrbitalError, Precondition
from runtime.l1 import RESERVED_PREFIX, ROOT_KEY

LINKED, UNLINKED = LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED
REGIONS: dict[str, dict[str, str]] = {"eu10": {}}
TENANTS = ("a", "b", "c")


def link(tenant: str, key: str, *shared: str, state: LinkState.ValueType = LINKED, provider: str = "hsm") -> Resource:
    spec = LinkSpec(system="core", provider=provider, key=key, state=state, shared_with=shared)
    return Resource(name=f"tenants/{tenant}/links/core", link=spec)


def estate(tenant: str) -> list[Resource]:
    return [
        Resource(name=f"tenants/{tenant}", tenant=TenantSpec(placement=Selector(regions=["eu10"]))),
        Resource(name=f"tenants/{tenant}/systems/core", system=SystemSpec()),
    ]


class Harness:
    """Everything that is stored, changed by declarations as the gateway would."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.declare(*(one for tenant in TENANTS for one in estate(tenant)))

    def declare(self, *resources: Resource) -> Plan:
        return self.keep(plan(resources, self.stored, REGIONS))

    def retire(self, *names: str) -> Plan:
        return self.keep(retire(names, self.stored, {}))

    def keep(self, result: Plan) -> Plan:
        for one in result.wanted:
            name = one.resource.name
            number = self.stored[name].identity if name in self.stored else len(self.stored)
            self.stored[name] = Stored(number, one.resource, one.generation, one.effect_generation)
        return result


@pytest.mark.parametrize(
    "key", [ROOT_KEY, ROOT_KEY.upper(), f" {ROOT_KEY} ", f"{RESERVED_PREFIX}anything", "Orbital-Region-Root"]
)
@pytest.mark.parametrize("provider", ["hsm", "kms"])
def test_a_key_of_the_platform_is_no_tenants(provider: str, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalize(link("a", key, provider=provider), "resources[0]")
    assert (refused.value.reason, refused.value.field) == ("L1_KEY_RESERVED", "resources[0].link.key")


WRONG = [
    "team/root",
    "root-",
    "-root",
    "customer root",
    "../../auth/token/lookup-self",
    "a%2fb",
    "a?b",
    "ü",
    ".",
    "a.",
    "",
]


@pytest.mark.parametrize("key", WRONG)
def test_a_name_that_a_kms_cannot_have_is_refused(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalize(link("a", key, provider="kms"), "resources[0]")
    assert (refused.value.reason, refused.value.field) == ("L1_KEY_NAME_INVALID", "resources[0].link.key")


@pytest.mark.parametrize("key", [" root", "root ", "ro\not", "a\x00b", "x" * 129, ""])
def test_a_name_that_an_hsm_cannot_have_is_refused(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalize(link("a", key), "resources[0]")
    assert refused.value.reason == "L1_KEY_NAME_INVALID"


@pytest.mark.parametrize(
    ("provider", "key"), [("kms", "customer-root_1.v2"), ("kms", "a"), ("hsm", "Müller GmbH / root")]
)
def test_other_names_are_good(provider: str, key: str) -> None:
    assert normalize(link("a", key, provider=provider), "resources[0]").link.key == key


@pytest.mark.parametrize("together", [True, False])
def test_a_key_belongs_to_whoever_named_it_first(together: bool) -> None:
    harness = Harness()
    if not together:
        harness.declare(link("a", "root"))
    with pytest.raises(Precondition) as refused:
        harness.declare(*([link("a", "root")] if together else []), link("b", "root"))
    assert refused.value.reason == "L1_KEY_OF_ANOTHER_TENANT"
    assert "tenants/a/links/core" in refused.value.message


def test_the_owner_may_share_it_and_nobody_else_may() -> None:
    harness = Harness()
    harness.declare(link("a", "root", "b"))
    harness.declare(link("b", "root"))
    with pytest.raises(Precondition, match="tenants/a"):
        harness.declare(link("c", "root"))
    with pytest.raises(Precondition) as refused:
        harness.declare(link("b", "root", "c"))
    assert refused.value.reason == "L1_KEY_NOT_OWNED"


@pytest.mark.parametrize("after", [link("a", "root"), link("a", "root", "b", state=UNLINKED), link("a", "other", "b")])
def test_the_owner_leaves_nobody_behind(after: Resource) -> None:
    harness = Harness()
    harness.declare(link("a", "root", "b"))
    harness.declare(link("b", "root"))
    with pytest.raises(Precondition) as refused:
        harness.declare(after)
    assert refused.value.reason == "L1_KEY_SHARED"
    assert "tenants/b/links/core" in refused.value.message
    with pytest.raises(Precondition, match="orbital retire"):
        harness.retire("tenants/a")
    harness.retire("tenants/b/links/core")
    harness.declare(after)


def test_what_the_owner_revoked_is_not_linked_again_by_another() -> None:
    harness = Harness()
    harness.declare(link("a", "root", "b"))
    harness.declare(link("b", "root", state=UNLINKED))
    harness.declare(link("a", "root", "b", state=UNLINKED))
    with pytest.raises(Precondition) as refused:
        harness.declare(link("b", "root"))
    assert refused.value.reason == "L1_OWNER_REVOKED"


CHOICES = [
    *(
        ("declare", link(tenant, key, *shared, state=state))
        for tenant, key, shared, state in product(
            TENANTS, ("one", "two"), ((), ("a",), ("b",), ("c",), ("a", "b", "c")), (LINKED, UNLINKED)
        )
    ),
    *(("kill", Resource(name=f"tenants/{tenant}")) for tenant in TENANTS),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(CHOICES), max_size=12))
def test_whatever_is_declared_no_link_lives_under_a_root_that_its_owner_did_not_give(
    history: list[tuple[str, Resource]],
) -> None:
    harness = Harness()
    for action, resource in history:
        try:
            if action == "declare":
                harness.declare(resource)
            else:
                kill(harness, resource.name)
        except OrbitalError:
            continue
        held = [item.resource for item in sorted(harness.stored.values(), key=lambda one: one.identity)]
        for key, holders in links.holdings(held).items():
            owned_by = links.owner(holders)
            for one in holders:
                if one.tenant != owned_by and one.linked:
                    assert links.grants(holders, one.tenant, of=owned_by), (key, holders)


def kill(harness: Harness, tenant: str) -> None:
    """What the kill switch does to Links."""
    lives = [item.resource for item in harness.stored.values() if item.resource.name.startswith(f"{tenant}/links/")]
    others = [item.resource for item in harness.stored.values() if item.resource.HasField("link")]
    also = links.revoked_with(lives, lives, [one for one in others if one not in lives])
    for name in [*(one.name for one in lives), *also]:
        item = harness.stored[name]
        after = Resource()
        after.CopyFrom(item.resource)
        after.link.state = UNLINKED
        harness.stored[name] = Stored(item.identity, after, item.generation + 1, item.generation + 1)
