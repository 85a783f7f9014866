"""Random histories of one tenant, with regions that answer when they like: what is said to be done is done.

A change is converged only when each of its placements was brought about, a revocation only by receipts. A proof is
whole only then. What never ends is owed by a region that has not answered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from orbital.v1.receipt_pb2 import Receipt, SignedReceipt
from orbital.v1.registry_pb2 import (
    JOB_STATE_CONVERGED,
    JOB_STATE_SUPERSEDED,
    DeclareRequest,
    KillRequest,
    KillResponse,
    RetireRequest,
)
from orbital.v1.resource_pb2 import LinkState, Resource, SystemSpec
from orbital.v1.task_pb2 import OUTCOME_DONE, Report

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.pool import Pool
from gateway.adapters.postgres.proofs import PostgresProofs
from gateway.adapters.postgres.reports import PostgresReports
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.domain.report import RegionReport
from gateway.domain.restore import restored
from gateway.flow.desired import DeclarationFlow
from gateway.flow.detect import Detect
from gateway.ports.store import Action
from gateway.times import new_correlation_id
from runtime.errors import OrbitalError
from runtime.kinds import REVOKING
from tests.integration.test_gateway import CALLER, REGIONS, estate

STEPS = 14
WANTED = (
    "SELECT r.name, p.region, p.desired_generation, p.task_kind FROM placement AS p"
    " INNER JOIN resource AS r ON r.id = p.resource_id WHERE p.correlation_id = $1"
)
WAITING = (
    "SELECT t.id, t.region, t.kind, t.generation, t.correlation_id, r.name FROM task AS t"
    " INNER JOIN resource AS r ON r.id = t.resource_id WHERE t.state = 1 ORDER BY t.sequence"
)
Target = tuple[str, str, int, int]


@dataclass
class Harness:
    pool: Pool
    rng: random.Random
    # What each change has to bring about, as it was when it was accepted; and what regions said that they did.
    wanted: dict[str, set[Target]] = field(default_factory=dict)
    done: set[tuple[str, str, int]] = field(default_factory=set)
    proved: set[tuple[str, str, int]] = field(default_factory=set)
    version: int = 1
    labels: int = 0

    def __post_init__(self) -> None:
        self.database = Database(self.pool)
        self.store = PostgresDesired(self.database, "gateway")
        self.desired = DeclarationFlow(self.store, new_correlation_id)
        self.reports, self.reads = PostgresReports(self.database), PostgresReads(self.database)
        self.tasks, self.proofs = PostgresTasks(self.database, "gateway"), PostgresProofs(self.database)

    async def keep(self, correlation_id: str) -> None:
        if correlation_id:
            rows = await self.pool.fetch(WANTED, correlation_id)
            self.wanted[correlation_id] = {tuple(row.values()) for row in rows}

    async def declare(self, *resources: Resource) -> None:
        answer = await self.desired.declare(DeclareRequest(resources=resources), CALLER)
        await self.keep(answer.correlation_id)

    async def relabel(self) -> None:
        self.labels += 1
        found = [await self.reads.resource(name.name) for name in self.rng.sample(estate()[2:], 2)]
        for one in found:
            assert one is not None
            one.labels["round"] = str(self.labels)
            one.ClearField("generation")
        await self.declare(*(one for one in found if one is not None))

    async def link(self, state: LinkState.ValueType) -> None:
        link = estate()[-1]
        link.link.state = state
        await self.declare(link)

    async def relink(self) -> None:
        await self.link(LinkState.LINK_STATE_LINKED)

    async def unlink(self) -> None:
        await self.link(LinkState.LINK_STATE_UNLINKED)

    async def kill(self) -> None:
        answer = await self.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
        await self.keep(answer.correlation_id)

    async def restore(self) -> None:
        async with self.store.killing() as tenancy:
            stored = await tenancy.locked("acme")
            if stored["tenants/acme"].resource.tenant.state != 2 or stored["tenants/acme"].resource.retired:
                return
            action = Action(new_correlation_id(), "officer", "restore acme", "", "d", "")
            await tenancy.drive(action, restored(stored, ["core"]), KillResponse())
        await self.keep(action.correlation_id)

    async def rotate(self, *, emergency: bool = False) -> None:
        spec = SystemSpec(key_version=self.version + 1, key_compromised_below=self.version + 1 if emergency else 0)
        await self.declare(Resource(name="tenants/acme/systems/core", system=spec))
        self.version += 1

    async def emergency(self) -> None:
        await self.rotate(emergency=True)

    async def retire(self) -> None:
        answer = await self.desired.retire(RetireRequest(names=["tenants/acme"], reason="left"), CALLER)
        await self.keep(answer.correlation_id)

    async def answer(self, regions: tuple[str, ...] = REGIONS, share: float = 0.6) -> None:
        """Regions do some of what waits, and report it."""
        for lane in range(3):
            while await Detect(self.tasks, lane, 100, lambda: None).step():
                pass
        waiting = [row for row in await self.pool.fetch(WAITING) if row["region"] in regions]
        told = [self.report(row) for row in waiting if self.rng.random() < share]
        if told:
            await self.reports.observe(told, told)

    def report(self, row: dict[str, object]) -> RegionReport:
        name, region, generation = str(row["name"]), str(row["region"]), int(str(row["generation"]))
        report = Report(
            task_id=row["id"].hex, kind=row["kind"], tenant="acme", resource=name, generation=generation,  # type: ignore[attr-defined, arg-type]
            observed_generation=generation, outcome=OUTCOME_DONE, correlation_id=str(row["correlation_id"]),
        )  # fmt: skip
        self.done.add((name, region, generation))
        if row["kind"] in REVOKING and self.rng.random() < 0.9:
            receipt = Receipt(region=region, resource=name, generation=generation, task_id=report.task_id)
            report.receipt = SignedReceipt(receipt=receipt.SerializeToString(), key_id=b"k").SerializeToString()
            self.proved.add((name, region, generation))
        return RegionReport(region, report)

    def brought_about(self, target: Target) -> bool:
        name, region, generation, kind = target
        said = self.proved if kind in REVOKING else self.done
        return any(one[:2] == (name, region) and one[2] >= generation for one in said)

    async def check(self) -> None:
        """Nothing claims more than regions said."""
        await self.reports.converge_all()
        for change, targets in self.wanted.items():
            job = await self.reads.job(change)
            assert job is not None
            revoking = {target for target in targets if target[3] in REVOKING}
            if job.state == JOB_STATE_CONVERGED:
                assert all(map(self.brought_about, targets)), (change, job.action)
                assert job.converged == job.total == len(targets)
            elif job.state == JOB_STATE_SUPERSEDED:
                assert set(job.superseded_by) <= self.wanted.keys() - {change}
                assert job.superseded
            else:
                assert any(part.behind for part in job.regions)
            shares = await self.proofs.shares(change)
            assert {(one.resource, one.region) for one in shares} >= {target[:2] for target in revoking}
            for one in shares:
                if one.receipt:
                    assert self.brought_about((one.resource, one.region, one.generation, one.kind))
                if job.state == JOB_STATE_CONVERGED:
                    assert one.receipt


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_said_to_be_done_is_done(pool: Pool, seed: int) -> None:
    harness = Harness(pool, random.Random(seed))
    await harness.declare(*estate())
    # A region that is cut off answers at the end only.
    cut = harness.rng.random() < 0.7
    there = REGIONS[:1] if cut else REGIONS
    acts = [
        harness.relabel,
        harness.relabel,
        harness.relink,
        harness.unlink,
        harness.kill,
        harness.restore,
        harness.rotate,
    ]
    acts += [harness.emergency, harness.answer, harness.answer]
    for step in range(STEPS):
        act = harness.retire if step == STEPS - 3 and harness.rng.random() < 0.5 else harness.rng.choice(acts)
        try:
            await (harness.answer(there) if act == harness.answer else act())
        except OrbitalError:
            continue
        await harness.check()
    # Everybody is back: whatever is owed is driven, on its lane, until it is proved.
    await pool.execute(
        "INSERT INTO contact (region, lane, process, contacted_at, open)"
        " SELECT r, l, 'p', now() + interval '1 hour', true FROM unnest($1::text[]) AS r, generate_series(0, 2) AS l",
        list(REGIONS),
    )
    for _ in range(12):
        await pool.execute("UPDATE placement SET due_at = now()")
        await pool.execute("UPDATE job_target SET due_at = now() WHERE state = 1")
        await harness.answer(share=1.0)
        await harness.check()
    assert await pool.fetchval("SELECT count(*) FROM job WHERE ended_at IS NULL") == 0
