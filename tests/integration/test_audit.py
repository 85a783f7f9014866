"""The audit trail on a real PostgreSQL: what is recorded, and what of a forgery is found."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import asyncpg
import orjson
import pytest
from orbital.v1.audit_pb2 import AuditHead, AuditRecord, SignedAuditHead
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest

from gateway.adapters.postgres.audit import PostgresAudit
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.domain.report import RegionReport
from gateway.flow.audit import Audit
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.flow.pack import build
from gateway.ports.audit import Signature
from gateway.ports.store import Denial
from gateway.times import new_correlation_id
from runtime import trail
from runtime.lifecycle import Backoff
from runtime.policy import Refusal
from runtime.trail import Held
from tests.integration.test_gateway import CALLER, done, estate
from tests.unit.runtime.test_proof import NOW
from tests.unit.runtime.test_trail import platform, signed, verdict

TRAIL = ("audit", "audit_head", "audit_signer")


class Signer:
    """Signs as the gateway does."""

    can_sign = True

    async def sign(self, message: bytes) -> Signature:
        head = AuditHead.FromString(message)
        made = signed(head.sequence, head.hash)
        return Signature(made.key_id, platform().sign("gateway", message), made.certificates)


@pytest.fixture(autouse=True)
def _old_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heads here are signed at the time at which the test's certificates are valid, long before their records."""
    monkeypatch.setattr(trail, "UNSIGNED_SECONDS", 10**10)


@pytest.fixture
async def emptied(pool: Pool, owner: Pool) -> Pool:
    """A pool on an empty trail, as only its owner can make one."""
    async with owner.acquire() as connection:
        for table in TRAIL:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await connection.execute(f"TRUNCATE {', '.join(TRAIL)} RESTART IDENTITY")
        for table in TRAIL:
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    return pool


@pytest.fixture
async def audit(emptied: Pool) -> Audit:
    """A trail with a kill in it, sealed, its end signed."""
    desired = DeclarationFlow(PostgresDesired(Database(emptied), "gateway"), new_correlation_id)
    tasks, reports = PostgresTasks(Database(emptied), "gateway"), PostgresReports(Database(emptied))
    resources = estate()
    await desired.declare(DeclareRequest(resources=resources[:2]), CALLER)
    await desired.declare(DeclareRequest(resources=resources[2:]), CALLER)
    await desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    for lane in (0, 1, 2):
        await Detect(tasks, lane, 100, lambda: None).step()
    async with tasks.claiming(0, 100) as batch:
        await batch.published([task.identity for task in batch.tasks], "decision-1")
        wanted = [RegionReport(task.region, done(build(task))[1]) for task in batch.tasks]
    await reports.observe(wanted, wanted)
    await tasks.keep_denials([Denial("decision-2", "ingress", "nobody", "Kill", Refusal("NO", "No."), "", "opa")])
    made = Audit(PostgresAudit(Database(emptied)), Signer(), lambda: NOW, 3.0)
    assert not await made._seal()
    await made.sign()
    return made


async def items(audit: Audit) -> list[AuditRecord | Held]:
    page = await audit.list(0, 1000)
    return [*(Held(head) for head in page.heads), *page.records]


async def test_whatever_happens_is_recorded_once_and_chained(audit: Audit) -> None:
    whole = await items(audit)
    assert verdict(whole) == ""
    records = [one for one in whole if isinstance(one, AuditRecord)]
    # However small the page, it tells where the trail ends.
    assert (await audit.list(0, 1)).end == records[-1].sequence
    counted = Counter(one.kind for one in records)
    assert counted["action"] == 3
    assert counted["denial"] == 1
    bodies = [orjson.loads(one.body) for one in records]
    assert any(body.get("action") == "kill acme" and body["detail"] == "breach" for body in bodies)
    states: dict[str, set[int]] = {}
    for one, body in zip(records, bodies, strict=True):
        if one.kind == "hop":
            for task in body["tasks"]:
                states.setdefault(task, set()).add(body["state"])
    made = {task for one, body in zip(records, bodies, strict=True) if one.kind == "task" for task in body["tasks"]}
    assert {2, 3} in states.values()
    assert set(states) <= made


async def test_nothing_new_is_not_sealed_or_signed_again(audit: Audit, pool: Pool) -> None:
    before = await items(audit)
    assert not await audit._seal()
    await audit.sign()
    assert await items(audit) == before
    assert await pool.fetchval("SELECT count(*) FROM audit WHERE sequence IS NULL") == 0


CHANGES = [
    "UPDATE audit SET body = '{}' WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 2", "TRUNCATE audit",
    "UPDATE audit SET sequence = 99, hash = '' WHERE sequence = 2", "UPDATE audit SET recorded_at = now()",
    "UPDATE audit SET sequence = NULL", "UPDATE audit SET kind = 'x', sequence = sequence",
    "DELETE FROM audit_head", "UPDATE audit_head SET head = ''", "TRUNCATE audit_head CASCADE",
    "DELETE FROM audit_signer", "UPDATE audit_signer SET certificates = '{}'", "TRUNCATE audit_signer CASCADE",
]  # fmt: skip


@pytest.mark.parametrize("statement", CHANGES)
async def test_the_trail_refuses_to_be_changed(audit: Audit, pool: Pool, owner: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"append-only|permission denied"):
        await pool.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute(statement)
    assert verdict(await items(audit)) == ""


FORGERIES = {
    "altered": ("UPDATE audit SET body = body || ' ' WHERE sequence = 2", "Record #2 altered"),
    "removed": ("DELETE FROM audit WHERE sequence = 3", "Record #3 removed"),
    "reordered": (
        "UPDATE audit SET sequence = 2 + 3 - sequence WHERE sequence IN (2, 3)", "Record #2 altered"),
    "cut": ("DELETE FROM audit WHERE sequence > 4", "Records #5 to #"),
    "emptied": ("DELETE FROM audit", "Records #1 to #"),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forgery_by_the_owner_of_the_database_is_found_and_named(
    audit: Audit, owner: Pool, forgery: str
) -> None:
    statement, message = FORGERIES[forgery]
    copies = [Held(head, "eu10") for head in (await audit.list(0, 1000)).heads]
    async with owner.acquire() as connection:
        await connection.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        await connection.execute("ALTER TABLE audit DROP CONSTRAINT audit_sequence_key")
        await connection.execute(statement)
        page = await audit.list(0, 1000)
        await connection.execute("TRUNCATE audit")
        await connection.execute("ALTER TABLE audit ADD CONSTRAINT audit_sequence_key UNIQUE (sequence)")
        await connection.execute("ALTER TABLE audit ENABLE TRIGGER USER")
    said = verdict([*copies, *page.records])
    assert said.startswith(message), said


async def test_a_head_that_another_gateway_signed_is_handed_on(audit: Audit, pool: Pool) -> None:
    other = Audit(PostgresAudit(Database(pool)), Signer(), lambda: NOW, 60.0)
    assert other.newest_head() is None
    await other._look()
    assert other.newest_head() == audit.newest_head()
    assert isinstance(audit.newest_head(), SignedAuditHead)


async def test_gateways_that_seal_at_once_make_one_chain(audit: Audit, pool: Pool, owner: Pool) -> None:
    for number in range(50):
        await owner.execute("INSERT INTO audit (kind, body) VALUES ('action', $1)", f'{{"n": {number}}}')
    stores = [PostgresAudit(Database(pool)) for _ in range(4)]
    while any(await asyncio.gather(*(store.seal(7) for store in stores))):
        continue
    assert verdict(await items(audit)) == ""
    assert await pool.fetchval("SELECT count(*) FROM audit WHERE sequence IS NULL") == 0


async def test_of_a_cut_of_the_last_minute_at_most_five_seconds_go_unnoticed(audit: Audit, owner: Pool) -> None:
    """Regions hold each head as it is signed; the owner of the database then cuts off what is the youngest."""
    held: dict[bytes, Held] = {}
    running = asyncio.ensure_future(audit.run(lambda: Backoff(random.random)))
    for number in range(180):
        await owner.execute("INSERT INTO audit (kind, body) VALUES ('action', $1)", f'{{"n": {number}}}')
        await asyncio.sleep(0.05)
        newest = audit.newest_head()
        if newest is not None:
            held[newest.head] = Held(newest, "eu10")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    last = max(one.head.sequence for one in held.values())
    late = await owner.fetchval("SELECT count(*) FROM audit WHERE sequence > $1 OR sequence IS NULL", last)
    covered = await owner.fetchval("SELECT clock_timestamp() - recorded_at FROM audit WHERE sequence = $1", last)
    # Heads every three seconds here, beside one for each hundred records.
    assert late <= 100 or covered.total_seconds() <= 5
    assert covered.total_seconds() <= 5
    whole = [*held.values(), *(await audit.list(0, 1000)).records]
    assert verdict(whole) == ""
    for gone in (1, 10, last // 2, last):
        cut = [one for one in whole if isinstance(one, Held) or one.sequence <= last - gone]
        assert f"to #{last} cut off" in verdict(cut)
