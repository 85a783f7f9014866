"""Receipts and certificates on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest
from orbital.v1.resource_pb2 import Resource
from orbital.v1.task_pb2 import OUTCOME_DONE, TASK_KIND_UNLINK_KEY, Report

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.domain.proof import Certified, check_receipt
from gateway.domain.report import RegionReport
from gateway.domain.task import task_id
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.times import new_correlation_id
from runtime.errors import Invalid
from tests.integration.test_gateway import CALLER, REGIONS, estate


def report(region: str, correlation_id: str, signature: bytes, resource: str = "tenants/acme") -> Report:
    identity = task_id(resource, region, 2).hex
    receipt = Receipt(
        region=region, resource=resource, generation=2, task_id=identity, correlation_id=correlation_id
    ).SerializeToString()
    return Report(
        task_id=identity, kind=TASK_KIND_UNLINK_KEY, tenant="acme", resource=resource, generation=2,
        observed_generation=2, outcome=OUTCOME_DONE, correlation_id=correlation_id,
        receipt=SignedReceipt(receipt=receipt, key_id=b"k" * 32, signature=signature).SerializeToString(),
    )  # fmt: skip


@pytest.fixture
async def killed(pool: Pool) -> str:
    """A kill in two regions whose tasks are made."""
    desired = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    resources: list[Resource] = estate()
    await desired.declare(DeclareRequest(resources=resources[: len(REGIONS)]), CALLER)
    await desired.declare(DeclareRequest(resources=resources[len(REGIONS) :]), CALLER)
    answer = await desired.kill(KillRequest(tenant="acme", reason="why"), CALLER)
    return answer.correlation_id


async def test_the_first_receipt_of_a_task_stays(pool: Pool, killed: str) -> None:
    store, reports = PostgresProofs(Database(pool)), PostgresReports(Database(pool))
    before = await store.shares(killed)
    # Wanted from the moment of the kill, before any task is made.
    assert {(one.region, one.resource, one.receipt) for one in before} == {
        (region, resource, b"") for region in REGIONS for resource in ("tenants/acme", "tenants/acme/links/core")
    }
    await Detect(PostgresTasks(Database(pool), "gateway"), 0, 100, lambda: None).step()
    assert {one.task_id for one in await store.shares(killed)} == {one.task_id for one in before}
    for signature in (b"first", b"second"):
        item = RegionReport("eu10", report("eu10", killed, signature))
        await reports.observe([item], [item])
    held = [one for one in await store.shares(killed) if one.receipt]
    assert [(one.region, one.resource, one.signed.signature) for one in held] == [("eu10", "tenants/acme", b"first")]


async def test_no_region_spoils_the_proof_of_another(pool: Pool, killed: str) -> None:
    store, reports = PostgresProofs(Database(pool)), PostgresReports(Database(pool))
    await Detect(PostgresTasks(Database(pool), "gateway"), 0, 100, lambda: None).step()
    # Task IDs can be worked out: another region is first, under the ID of eu10's task.
    stolen = report("eu10", killed, b"stolen")
    await reports.observe([RegionReport("us20", stolen)], [RegionReport("us20", stolen)])
    own = report("eu10", killed, b"own")
    await reports.observe([RegionReport("eu10", own)], [RegionReport("eu10", own)])
    assert b"own" in [
        one.signed.signature for one in await store.shares(killed) if one.region == "eu10" and one.receipt
    ]


async def test_a_receipt_that_was_verified_takes_the_place_of_one_that_was_not(pool: Pool, killed: str) -> None:
    store, reports = PostgresProofs(Database(pool)), PostgresReports(Database(pool))
    for signature, verified in ((b"bad", False), (b"good", True), (b"late", True), (b"bad", False)):
        item = RegionReport("eu10", report("eu10", killed, signature), verified=verified)
        await reports.observe([item], [item])
    assert [one.signed.signature for one in await store.shares(killed) if one.receipt] == [b"good"]


async def test_certificates_are_found_by_key(pool: Pool) -> None:
    store, now = PostgresProofs(Database(pool)), datetime.now(UTC)
    late, early = (Certified(b"key", "n", b"c", [b"chain"], now, now + timedelta(days=days)) for days in (9, 3))
    for one in (late, early, early):
        await store.keep_certificate(one)
    assert await store.certificates([b"key", b"other"]) == {b"key": [early, late]}


@pytest.mark.parametrize(
    "change",
    [{"region": "us20"}, {"task_id": "0" * 32}, {"resource": "x"}, {"generation": 9}, {"correlation_id": "x"}],
)
def test_a_receipt_of_something_else_is_refused(change: dict[str, object]) -> None:
    good = report("eu10", "c1", b"s")
    check_receipt("eu10", good, "reports[0]")
    signed = SignedReceipt.FromString(good.receipt)
    other = Receipt.FromString(signed.receipt)
    other.MergeFrom(Receipt(**change))  # type: ignore[arg-type]
    good.receipt = SignedReceipt(receipt=other.SerializeToString()).SerializeToString()
    with pytest.raises(Invalid):
        check_receipt("eu10", good, "reports[0]")
    good.receipt = b"\xff"
    with pytest.raises(Invalid):
        check_receipt("eu10", good, "reports[0]")
