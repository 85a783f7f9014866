"""What people see of regions and changes, in a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from orbital.v1 import flag_pb2
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest, ListJobsRequest, Region
from orbital.v1.resource_pb2 import LinkSpec, RegionSpec, Resource, Selector, SystemSpec, TenantSpec

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.flags import PostgresFlags
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.rpc.fleet import Fleet
from gateway.flow.desired import DeclarationFlow
from gateway.ports.serving import Caller
from gateway.times import new_correlation_id
from runtime.errors import Invalid
from runtime.page import write_token

CALLER = Caller("spiffe://orbital/person/operator", "decision-0")


def estate() -> list[Resource]:
    return [
        *(Resource(name=f"regions/{name}", region=RegionSpec(area=name[:2])) for name in ("eu10", "us20")),
        Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=["eu10"]))),
        Resource(name="tenants/acme/systems/core", system=SystemSpec()),
        Resource(name="tenants/acme/links/core", link=LinkSpec(system="core", provider="hsm", key="acme-root")),
    ]


async def declared(pool: Pool) -> DeclarationFlow:
    desired = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    await desired.declare(DeclareRequest(resources=estate()), CALLER)
    return desired


def named(regions: list[Region]) -> dict[str, Region]:
    return {one.resource.name.removeprefix("regions/"): one for one in regions}


async def test_a_region_says_what_waits_for_it_since_when_and_what_prevents_it(pool: Pool) -> None:
    await declared(pool)
    await pool.execute("UPDATE placement SET reason = 'HSM_UNREACHABLE' WHERE task_kind = 4")
    await pool.execute(
        "INSERT INTO engine (name, instance, revision, error, made) VALUES ('opa-eu10-bulk','i','r7','',0)"
    )
    found = named(
        list((await Fleet(PostgresReads(Database(pool)), PostgresFlags(Database(pool)), list).regions()).regions)
    )
    eu10, us20 = found["eu10"], found["us20"]
    assert (eu10.placements, eu10.drifting, eu10.stalled, list(eu10.waiting)) == (3, 3, 1, [0, 3, 0])
    assert eu10.HasField("behind_since")
    assert list(eu10.policy_revisions) == ["r7"]
    assert (us20.drifting, us20.stalled, list(us20.waiting), us20.HasField("behind_since")) == (0, 0, [0, 0, 0], False)
    assert us20.status == flag_pb2.HEALTH_STATUS_UNKNOWN
    await pool.execute("DELETE FROM engine")


async def test_whoever_watches_is_told_of_all_then_of_what_changed_and_otherwise_of_nothing(pool: Pool) -> None:
    await declared(pool)
    now = 0.0
    watching = Fleet(PostgresReads(Database(pool)), PostgresFlags(Database(pool)), list, lambda: now).watch()
    async with asyncio.timeout(20):
        assert named(list((await anext(watching)).regions)).keys() == {"eu10", "us20"}
        await pool.execute("UPDATE placement SET observed_generation = desired_generation")
        await pool.execute(
            "INSERT INTO contact (region, lane, process, contacted_at, open) VALUES ('us20', 0, 'p', now(), false)"
        )
        now += 2
        changed = named(list((await anext(watching)).regions))
        assert changed.keys() == {"eu10"}
        assert changed["eu10"].drifting == 0
        now += 6
        assert not (await anext(watching)).regions


async def test_changes_are_listed_newest_first_by_page_and_by_what_was_done(pool: Pool) -> None:
    desired = await declared(pool)
    # Whoever brings an ID of their own is listed by the time, not by the ID.
    await desired.kill(KillRequest(tenant="acme", reason="Lost"), replace(CALLER, correlation_id="0" * 32))
    reads = PostgresReads(Database(pool))
    with pytest.raises(Invalid):
        await reads.jobs(ListJobsRequest(page_token=write_token("never", "")), 1)
    page = await reads.jobs(ListJobsRequest(), 1)
    (kill,) = page.jobs
    assert (kill.action, kill.detail, kill.actor) == ("kill acme", "Lost", CALLER.principal)
    assert (kill.converged, kill.HasField("converge_time")) == (0, False)
    (declare,) = (await reads.jobs(ListJobsRequest(page_token=page.next_page_token), 100)).jobs
    assert declare.action == "declare"
    assert [one.action for one in (await reads.jobs(ListJobsRequest(action="kill"), 100)).jobs] == ["kill acme"]
    assert not (await reads.jobs(ListJobsRequest(action="retire"), 100)).jobs
