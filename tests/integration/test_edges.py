"""What regions say of their edges, in a real PostgreSQL."""

import asyncio
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1 import edge_pb2 as pb

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.edges import PostgresEdges
from gateway.flow.observe import ObserveFlow
from gateway.ports.edges import Observation
from runtime.errors import Invalid


@pytest.fixture
async def edges(pool: Pool) -> PostgresEdges:
    return PostgresEdges(Database(pool))


def said(region: str, *names: str, at: float | None = None, revision: str = "r1") -> Observation:
    found = [pb.Edge(name=name, status=pb.EDGE_STATUS_IN_FORCE, revision=revision) for name in names]
    return Observation(region, found, at or time.time())


async def shown(edges: PostgresEdges, region: str = "") -> list[tuple[str, str, str, int]]:
    return [(one.region, one.name, one.revision, one.status) for one in await edges.edges(region)]


async def test_the_whole_list_is_replaced_and_an_overtaken_one_dropped(edges: PostgresEdges) -> None:
    now = time.time() - 10
    await edges.store([said("us20", "edge-1", at=now), said("eu10", "edge-1", "edge-2", at=now)])
    await edges.store([said("eu10", "edge-2", at=now + 2, revision="r2")])
    await edges.store([said("eu10", "edge-1", at=now + 1)])
    assert await shown(edges, "eu10") == [("eu10", "edge-2", "r2", pb.EDGE_STATUS_IN_FORCE)]
    assert [one[0] for one in await shown(edges)] == ["eu10", "us20"]


@pytest.mark.parametrize("ahead", [1, 30, 59, 60, 3600, 7200])
async def test_a_clock_that_was_ahead_and_is_right_again_is_heard(edges: PostgresEdges, ahead: float) -> None:
    await edges.store([said("eu10", "edge-1", at=time.time() + ahead)])
    await edges.store([said("eu10", "edge-2", at=time.time())])
    assert [one[1] for one in await shown(edges, "eu10")] == ["edge-2"]


async def test_of_a_silent_region_the_edges_are_unknown(edges: PostgresEdges, pool: Pool) -> None:
    await edges.store([said("eu10", "edge-1")])
    await pool.execute("UPDATE edge_observation SET heard_at = now() - interval '1 minute'")
    (one,) = await edges.edges("eu10")
    assert (one.status, one.reason, one.revision) == (pb.EDGE_STATUS_UNKNOWN, "REGION_SILENT", "r1")


async def test_many_at_once_are_stored_together_and_a_wrong_one_is_refused(edges: PostgresEdges) -> None:
    flow = ObserveFlow(edges)
    running = asyncio.ensure_future(flow.run())
    try:
        await asyncio.gather(*(flow.submit(said(f"r{number}", "edge-1")) for number in range(50)))
        with pytest.raises(Invalid, match="send_time"):
            await flow.submit(Observation("eu10", [], 0.0))
        with pytest.raises(Invalid, match="second time"):
            await flow.submit(said("eu10", "edge-1", "edge-1"))
    finally:
        running.cancel()
    assert len(await edges.edges("")) == 50


async def test_what_regions_serve_is_told_by_tenant_and_by_system(edges: PostgresEdges) -> None:
    now, since = time.time(), Timestamp(seconds=1_000)
    uses = [
        pb.Use(tenant="acme", system="core", wraps=3, unwraps=1),
        pb.Use(tenant="acme", system="other", wraps=4),
        pb.Use(tenant="beta", system="core", wraps=9),
    ]
    silent = Observation("us20", [], now)
    await edges.store([Observation("eu10", [], now, uses, since), silent, Observation("ap30", [], now, (), since)])
    found = {one.region: (one.wraps, one.unwraps, one.since.seconds) for one in await edges.uses("acme", "")}
    assert found == {"ap30": (0, 0, 1_000), "eu10": (7, 1, 1_000)}
    assert {one.region: one.wraps for one in await edges.uses("acme", "core")} == {"ap30": 0, "eu10": 3}
    flow = ObserveFlow(edges)
    with pytest.raises(Invalid, match="uses"):
        await flow.submit(Observation("eu10", [], now, [pb.Use(tenant="Not a name")], since))
