"""A restored database: what follows from what regions hold, and who is asked and believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import Beat, HeldResources, Open, Opened
from orbital.v1.dispatch_pb2 import Holdings as Page
from orbital.v1.resource_pb2 import (
    LinkSpec,
    LinkState,
    Resource,
    ServiceSpec,
    SystemSpec,
    TenantSpec,
    TenantState,
)

from gateway.domain.change import plan
from gateway.domain.holdings import MOST_AHEAD, Floor, adopt, check_held
from gateway.domain.stored import Stored
from gateway.flow.holdings import Holdings
from gateway.flow.security import Security
from runtime.errors import Denied, Invalid, Precondition
from runtime.signatures import HOLDINGS
from tests.unit.gateway.fakes import FakeHoldings, FakeTasks
from tests.unit.runtime.keys import Keys
from tests.unit.runtime.test_trail import platform, signed

ACTIVE, KILLED = TenantState.TENANT_STATE_ACTIVE, TenantState.TENANT_STATE_KILLED
LINKED, UNLINKED = LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED
LOST, KNOWN = "ab" * 16, "cd" * 16
T, S = "tenants/t", "tenants/t/systems/s"


def tenant(state: TenantState.ValueType = ACTIVE, **fields: object) -> Resource:
    return Resource(name=T, tenant=TenantSpec(state=state), **fields)  # type: ignore[arg-type]


def link(state: LinkState.ValueType = LINKED, **fields: object) -> Resource:
    return Resource(name=f"{T}/links/l", link=LinkSpec(system="s", state=state), **fields)  # type: ignore[arg-type]


def system(version: int = 2, below: int = 0, **fields: object) -> Resource:
    spec = SystemSpec(key_version=version, key_compromised_below=below)
    return Resource(name=S, system=spec, **fields)  # type: ignore[arg-type]


def service(**fields: object) -> Resource:
    return Resource(name=f"{S}/services/v", service=ServiceSpec(key_version=1), **fields)  # type: ignore[arg-type]


STORED = [tenant(), link(), system(), service()]
# What regions may hold by a lost change, and whether that takes something away.
HELD = [
    (tenant(KILLED), True), (tenant(retired=True), True), (tenant(labels={"a": "b"}), False),
    (link(UNLINKED), True), (link(LinkState.LINK_STATE_UNSPECIFIED), False), (link(retired=True), True),
    (link(), False),
    (system(3), False), (system(3, 3), True), (system(retired=True), True),
    (service(), False), (service(retired=True), True),
]  # fmt: skip


def stored(generation: int) -> dict[str, Stored]:
    return {one.name: Stored(number, one, generation, 1) for number, one in enumerate(STORED)}


@pytest.mark.parametrize(("held", "revokes"), HELD)
@given(ours=st.integers(1, 40), theirs=st.integers(1, 40), known=st.booleans(), placed=st.booleans())
def test_a_lost_revocation_holds_and_no_generation_goes_back(
    held: Resource, revokes: bool, ours: int, theirs: int, known: bool, placed: bool
) -> None:
    resource = Resource()
    resource.CopyFrom(held)
    resource.generation, resource.correlation_id = theirs, KNOWN if known else LOST
    before = stored(ours)
    found = adopt([resource], before, before if placed else (), {KNOWN})
    after = {**found.raised, **found.revoked}
    identity = before[held.name].identity
    if known or not placed:
        assert not after
        return
    assert not found.floors
    assert (identity in found.revoked) == revokes
    assert (identity in after) == (revokes or theirs >= ours)
    for number, wanted in after.items():
        assert wanted.generation > ours
        assert number != identity or wanted.generation > theirs
    # Nothing but a revocation, and numbers of versions, is taken from a region's word.
    if identity in found.raised:
        taken = found.raised[identity].resource
        assert taken.labels == before[held.name].resource.labels
        assert not taken.retired


def test_a_tenant_that_is_killed_again_takes_its_links_with_it() -> None:
    found = adopt([tenant(KILLED, generation=7, correlation_id=LOST)], stored(3), {T}, ())
    assert {one.resource.name: one.generation for one in found.revoked.values()} == {T: 8, f"{T}/links/l": 4}
    assert all(one.resource.link.state == UNLINKED for one in found.revoked.values() if one.resource.HasField("link"))


def test_an_unbelievable_generation_is_not_taken() -> None:
    far = MOST_AHEAD + 100
    assert not adopt([tenant(KILLED, generation=far, correlation_id=LOST)], stored(3), {T}, ()).revoked
    assert not adopt([tenant(generation=far, correlation_id=LOST)], {}, (), ()).floors


def test_what_the_store_does_not_know_begins_above_what_regions_hold() -> None:
    found = adopt([tenant(KILLED, generation=5, correlation_id=LOST)], {}, (), ())
    assert found.floors == {T: Floor(5, killed=True)}
    regions = {"eu10": {"area": "eu"}}
    declared = Resource(name=T, tenant=TenantSpec(placement={"regions": ["eu10"]}))  # type: ignore[arg-type]
    (wanted,) = plan([declared], {}, regions, found.floors).wanted
    assert (wanted.generation, wanted.resource.tenant.state) == (6, KILLED)
    assert plan([declared], {}, regions).wanted[0].generation == 1
    with pytest.raises(Precondition) as refused:
        plan([declared], {}, regions, {T: Floor(5, retired=True)})
    assert refused.value.reason == "RETIRED"


@pytest.mark.parametrize("held", [
    HeldResources(resources=[tenant(correlation_id=LOST)] * 501),
    HeldResources(resources=[Resource(name="x", correlation_id=LOST)]),
    HeldResources(resources=[Resource(name=T, link=LinkSpec(), correlation_id=LOST)]),
    HeldResources(resources=[Resource(name="regions/eu10", region={}, correlation_id=LOST)]),  # type: ignore[arg-type]
    HeldResources(resources=[tenant()]),
    HeldResources(resources=[tenant(correlation_id=LOST, generation=2**63)]),
    HeldResources(resources=[tenant(correlation_id="x\0")]),
])  # fmt: skip
def test_a_page_that_cannot_be_taken_is_refused(held: HeldResources) -> None:
    with pytest.raises(Invalid):
        check_held(held)


class Heads:
    """Knows the platform's certificates as a gateway that is restored does."""

    async def certificates(self, keys: list[bytes]) -> object:
        from cryptography.hazmat.primitives import serialization

        from gateway.domain.proof import Certified
        from runtime.proof import GATEWAY_SIGNER, region_signer
        from runtime.signing import key_id
        from tests.unit.runtime.test_proof import NOW

        found = {}
        for name, key in platform().keys.items():
            own, signer = key_id(key.public_key()), GATEWAY_SIGNER if name == "gateway" else region_signer(name)
            packed = platform().certificates[name].public_bytes(serialization.Encoding.DER)
            found[own] = [Certified(own, signer, packed, [], NOW, NOW)]
        return {key: found[key] for key in keys if key in found}


class Harness:
    def __init__(self, place: Path) -> None:
        self.store, self.tasks, self.keys = FakeHoldings(), FakeTasks(), Keys.make(place)
        self.newest: SignedAuditHead | None = None
        security = Security(self.tasks, self.tasks)
        heads: object = Heads()
        questions = iter(["first", "second"])
        self.holdings = Holdings(
            self.store, heads, self.keys.public_keys, security, lambda: self.newest, lambda: next(questions)  # type: ignore[arg-type]
        )  # fmt: skip

    async def opened(self, head: SignedAuditHead, lane: int = 0) -> str:
        opened = Opened()
        await self.holdings.opening(Open(region="eu10", lane=lane, audit_head=head), opened)
        return opened.ask_holdings


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


async def test_only_a_head_of_ours_that_the_trail_has_lost_makes_a_region_be_asked(harness: Harness) -> None:
    harness.store.gone = {9}
    assert await harness.opened(signed(8, b"h" * 32)) == ""
    # Signed by a region, by nobody known, or about nothing: no proof.
    for head in (signed(9, b"h" * 32, "eu10"), signed(9, b"h" * 32, "nobody"), SignedAuditHead(head=b"\xff")):
        assert await harness.opened(head) == ""
    assert await harness.opened(signed(9, b"h" * 32), lane=1) == ""
    assert not harness.store.asking
    assert await harness.opened(signed(9, b"h" * 32)) == "first"
    harness.store.told = True
    assert harness.store.asking == ["eu10"]


async def test_regions_with_open_streams_are_asked_when_the_trail_loses_what_they_were_given(harness: Harness) -> None:
    opening = Open(region="eu10", lane=0)
    with harness.holdings.open(opening), harness.holdings.open(Open(region="us20", lane=1)):
        harness.newest = signed(9, b"h" * 32)
        await harness.holdings.step()
        harness.newest, harness.store.gone = signed(4, b"h" * 32), {9}
        await harness.holdings.step()
        beat = Beat()
        harness.holdings.tell(opening, beat)
        assert beat.ask_holdings == "first"
    assert harness.store.asking == ["eu10"]
    beat = Beat()
    harness.holdings.tell(opening, beat)
    assert beat.ask_holdings == ""


async def test_an_answer_is_taken_once_from_the_region_that_was_asked(harness: Harness) -> None:
    harness.store.gone = {9}
    question, opening = await harness.opened(signed(9, b"h" * 32)), Open(region="eu10", lane=0)

    def page(signer: object, **fields: object) -> Page:
        held = HeldResources(region="eu10", question=question, resources=[tenant(correlation_id=LOST)])
        held.MergeFrom(HeldResources(**fields))  # type: ignore[arg-type]
        return Page(signed=signer.sign(HOLDINGS, held.SerializeToString()))  # type: ignore[attr-defined]

    region = harness.keys.region
    for wrong in (page(harness.keys.gateway), page(region, region="us20"), Page()):
        with pytest.raises(Denied):
            await harness.holdings.take("p", opening, wrong)
    await harness.holdings.take("p", opening, page(region, question="another"))
    assert not harness.store.adopted
    await harness.holdings.take("p", opening, page(region))
    await harness.holdings.take("p", opening, page(region, last=True))
    await harness.holdings.take("p", opening, page(region, last=True))
    assert [last for _, _, last in harness.store.adopted] == [False, True]
