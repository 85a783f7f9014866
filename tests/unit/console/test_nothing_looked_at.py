"""No command claims success of what it did not look at: each part of what it reads is emptied, cut short or away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from orbital.v1 import audit_pb2, verify_pb2
from orbital.v1 import registry_pb2 as api
from orbital.v1.receipt_pb2 import Destroyed, Proof, Receipt
from orbital.v1.resource_pb2 import Resource

from console.cli.failure import Exit
from runtime.errors import Unavailable
from tests.unit.console.conftest import Orbital
from tests.unit.console.gateway import ID, NOW, FakeGateway
from tests.unit.runtime.test_proof import Platform
from tests.unit.runtime.test_trail import chained, platform, signed

RECORDS = chained([f'{{"n": {n}}}' for n in range(12)])
HEADS = {one.sequence: signed(one.sequence, one.hash) for one in RECORDS[3::4]}
NEWEST = HEADS[12]
TENANT = "tenants/acme"
PLACED = api.Placement(resource=TENANT, region="eu10", desired_generation=2, observed_generation=2)
HELD = verify_pb2.HeldResource(name=TENANT, record_generation=2, record_state="ACTIVE", journal_generation=2)
DECLARED = Resource(name=TENANT, generation=2)
DECLARED.tenant.lease.seconds = 60


@dataclass
class Control:
    """A connection whose every part answers from these."""

    records: Sequence[audit_pb2.AuditRecord] = tuple(RECORDS)
    heads: dict[int, Any] = field(default_factory=lambda: dict(HEADS))
    newest: Any = field(default_factory=lambda: NEWEST)
    copies: dict[str, Sequence[Any] | None] = field(default_factory=lambda: {"eu10": [NEWEST]})
    end: int = len(RECORDS)
    placements: Sequence[api.Placement] = (PLACED,)
    resources: Sequence[Resource] = (DECLARED,)
    held: Sequence[verify_pb2.HeldResource] = (HELD,)
    proof_: Proof = field(default_factory=Proof)
    roots: bytes = field(default_factory=lambda: platform().authority)

    def __getattr__(self, name: str) -> Any:
        if name in {"audit", "registry", "proof"}:
            return self
        if name[:1].isupper():
            return getattr(type(self), f"_{name}").__get__(self)
        raise AttributeError(name)

    @property
    def state(self) -> dict[str, Any]:
        return {"regions": {name: {"crypto": name} for name in ("eu10", "us20")}}

    def verify(self, address: str) -> Any:
        return SimpleNamespace(ListAuditHeads=lambda _: self._of(address), ListHeld=lambda _: self.held)

    def _of(self, region: str) -> verify_pb2.ListAuditHeadsResponse:
        copies = self.copies[region]
        if copies is None:
            raise Unavailable("The region does not answer")
        return verify_pb2.ListAuditHeadsResponse(heads=copies)

    def call(self, method: Any, request: Any, **_: Any) -> Any:
        return method(request)

    def pages(self, method: Any, request: Any, **_: Any) -> Iterator[Any]:
        yield method(request)

    def stream(self, method: Any, request: Any, _: float | None = None) -> Iterator[Any]:
        yield from method(request)

    def _ListAudit(self, request: audit_pb2.ListAuditRequest) -> audit_pb2.ListAuditResponse:  # noqa: N802
        records = [one for one in self.records if one.sequence > request.after]
        heads = [head for sequence, head in self.heads.items() if sequence > request.after]
        return audit_pb2.ListAuditResponse(records=records, heads=heads, newest=self.newest, end=self.end)

    def _ListRegions(self, _: Any) -> api.ListRegionsResponse:  # noqa: N802
        regions = [api.Region(resource=Resource(name=f"regions/{name}"), last_contact_at=NOW) for name in self.copies]
        return api.ListRegionsResponse(regions=regions)

    def _ListPlacements(self, _: Any) -> api.ListPlacementsResponse:  # noqa: N802
        return api.ListPlacementsResponse(placements=self.placements)

    def _ListResources(self, request: api.ListResourcesRequest) -> api.ListResourcesResponse:  # noqa: N802
        wanted = request.kind == api.RESOURCE_KIND_TENANT
        return api.ListResourcesResponse(resources=self.resources if wanted else ())

    def _GetProof(self, _: Any) -> Proof:  # noqa: N802
        return self.proof_


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    """What every command of this test talks to; everything is whole at first."""
    made = Control()

    @contextmanager
    def connect(*_: Any) -> Iterator[Control]:
        yield made

    monkeypatch.setattr("console.cli.connection.connect", connect)
    monkeypatch.setattr("console.cli.commands.region.PAUSE", 0.0)
    return made


AUDIT: dict[str, tuple[dict[str, Any], Exit]] = {
    "whole": ({}, Exit.DONE),
    "no record, no head": ({"records": (), "heads": {}, "newest": None, "end": 0, "copies": {}}, Exit.UNVERIFIED),
    "no record, regions away": (
        {"records": (), "heads": {}, "newest": None, "end": 0, "copies": {"eu10": None}},
        Exit.UNVERIFIED,
    ),
    "no record, a region has a head": ({"records": (), "heads": {}, "newest": None, "end": 0}, Exit.UNVERIFIED),
    "no head at all": ({"heads": {}, "newest": None, "copies": {}}, Exit.UNVERIFIED),
    "the answer stops early": (
        {"records": RECORDS[:8], "heads": {8: HEADS[8]}, "newest": HEADS[8], "copies": {"eu10": [HEADS[8]]}},
        Exit.UNVERIFIED,
    ),
    "a region is away": ({"copies": {"eu10": [NEWEST], "us20": None}}, Exit.UNAVAILABLE),
    "every region is away": ({"copies": {"eu10": None, "us20": None}}, Exit.UNAVAILABLE),
    "a region holds nothing": ({"copies": {"eu10": [NEWEST], "us20": []}}, Exit.UNVERIFIED),
    "every region holds nothing": ({"copies": {"eu10": [], "us20": []}}, Exit.UNVERIFIED),
}


@pytest.mark.parametrize("case", AUDIT)
def test_audit_verify(control: Control, orbital: Orbital, case: str) -> None:
    changed, status = AUDIT[case]
    for name, value in changed.items():
        setattr(control, name, value)
    ended = orbital("audit", "verify")
    assert ended.status == status, ended
    assert ended.out.startswith("Verified to #") == (status is Exit.DONE)


def test_what_nobody_signed_for_a_minute_is_not_verified(control: Control, orbital: Orbital) -> None:
    control.records = chained([f'{{"n": {n}}}' for n in range(90)])
    control.end = 90
    ended = orbital("audit", "verify")
    assert ended.status == Exit.UNVERIFIED
    assert "Records #13 to #90 have no signed head" in ended.err


REGION: dict[str, tuple[dict[str, Any], Exit]] = {
    "whole": ({}, Exit.DONE),
    "nothing placed, nothing held": ({"placements": (), "held": (), "resources": ()}, Exit.NOT_FOUND),
    "nothing held": ({"held": ()}, Exit.DIFFERS),
    "nothing listed": ({"resources": ()}, Exit.DIFFERS),
    "nothing placed, nothing declared": ({"placements": (), "resources": ()}, Exit.DIFFERS),
}


@pytest.mark.parametrize("case", REGION)
def test_region_verify(control: Control, orbital: Orbital, case: str) -> None:
    changed, status = REGION[case]
    for name, value in changed.items():
        setattr(control, name, value)
    ended = orbital("region", "verify", "eu10")
    assert ended.status == status, ended
    assert ("All agree" in ended.err) == (status is Exit.DONE)


PLATFORM = Platform()
UNSURE = [Destroyed(resource=TENANT, key="L2", place="transit")]
PROOFS = {
    "whole": (PLATFORM.proof([PLATFORM.receipt("eu10"), PLATFORM.receipt("us20")]), Exit.DONE),
    "no receipt and no region": (PLATFORM.proof([]), Exit.UNVERIFIED),
    "no receipt": (PLATFORM.proof([], missing="eu10"), Exit.UNVERIFIED),
    "one receipt of two": (PLATFORM.proof([PLATFORM.receipt("eu10")], missing="us20"), Exit.UNVERIFIED),
    "nobody made sure": (PLATFORM.proof([PLATFORM.receipt("eu10", destroyed=UNSURE)]), Exit.UNVERIFIED),
    "damaged": (Proof(), Exit.UNVERIFIED),
}


@pytest.mark.parametrize("case", PROOFS)
def test_proof(control: Control, orbital: Orbital, case: str, tmp_path: Any) -> None:
    control.proof_, status = PROOFS[case]
    control.roots = PLATFORM.authority
    file, ca = tmp_path / "proof.json", tmp_path / "ca.pem"
    ca.write_bytes(PLATFORM.authority)
    assert orbital("proof", "show", "cd" * 16, "-f", str(file)).status == status
    if file.exists():
        assert orbital("proof", "verify", str(file), "--ca", str(ca)).status == status


def test_a_receipt_names_how_each_key_was_verified() -> None:
    assert all(one.verified for one in Receipt.FromString(PLATFORM.receipt("eu10").receipt).destroyed)


JOBS = {
    "all": ({"total": 3, "converged": 3}, Exit.DONE),
    "nothing to do": ({"total": 0}, Exit.DONE),
    "one region is gone": ({"total": 3, "converged": 2, "given_up": 1, "lost_regions": ["us20"]}, Exit.GIVEN_UP),
    "every region is gone": ({"total": 3, "given_up": 3, "lost_regions": ["eu10", "us20"]}, Exit.GIVEN_UP),
}


@pytest.mark.parametrize("case", JOBS)
def test_wait(gateway: FakeGateway, orbital: Orbital, case: str) -> None:
    told, status = JOBS[case]
    times = {"create_time": NOW, "converge_time": NOW, "end_time": NOW}
    state = api.JOB_STATE_GIVEN_UP if told.get("given_up") else api.JOB_STATE_CONVERGED
    gateway.jobs = [api.Job(correlation_id=ID, state=state, **times, **told)]
    ended = orbital("wait", ID)
    assert ended.status == status, ended
    assert ended.out.startswith("Converged: ") == (status is Exit.DONE and bool(told["total"]))


def test_waiting_for_no_placement_converges_nothing(gateway: FakeGateway, orbital: Orbital) -> None:
    gateway.placements = []
    ended = orbital("wait", "--tenant", "nobody")
    assert ended.status == Exit.NOT_FOUND
    assert "Converged" not in ended.out
