"""L1 keys that tenants share, on a real PostgreSQL: who may name them, and what goes with their owner."""

import pytest
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest, RetireRequest
from orbital.v1.resource_pb2 import LinkSpec, LinkState, RegionSpec, Resource, Selector, SystemSpec, TenantSpec

from gateway.adapters.postgres.backfill import fill_l1
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.see import PostgresReads
from gateway.flow.desired import DeclarationFlow
from gateway.ports.serving import Caller
from gateway.times import new_correlation_id
from runtime.errors import Precondition

OFFICER = Caller("spiffe://orbital/person/officer", "d-2")
LINKED, UNLINKED = LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED


def tenant(name: str, *shared: str, key: str = "root") -> list[Resource]:
    spec = LinkSpec(system="core", provider="hsm", key=key, shared_with=shared)
    return [
        Resource(name="regions/eu10", region=RegionSpec(area="eu")),
        Resource(name=f"tenants/{name}", tenant=TenantSpec(placement=Selector(regions=["eu10"]))),
        Resource(name=f"tenants/{name}/systems/core", system=SystemSpec()),
        Resource(name=f"tenants/{name}/links/core", link=spec),
    ]


@pytest.fixture
async def desired(pool: Pool) -> DeclarationFlow:
    """With tenant a, which owns the key `root` and shares it with b."""
    made = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    await made.declare(DeclareRequest(resources=tenant("a", "b")), OFFICER)
    return made


async def state(pool: Pool, name: str) -> LinkState.ValueType:
    found = await PostgresReads(Database(pool)).resource(f"tenants/{name}/links/core")
    assert found is not None
    return found.link.state


async def test_a_key_of_another_tenant_is_refused_without_a_grant(desired: DeclarationFlow) -> None:
    await desired.declare(DeclareRequest(resources=tenant("b")), OFFICER)
    with pytest.raises(Precondition) as refused:
        await desired.declare(DeclareRequest(resources=tenant("c")), OFFICER)
    assert (refused.value.reason, refused.value.field) == ("L1_KEY_OF_ANOTHER_TENANT", "resources[3].link.key")


@pytest.mark.parametrize("link", ["", "core"])
async def test_the_kill_of_the_owner_stops_whoever_it_shares_with(
    pool: Pool, desired: DeclarationFlow, link: str
) -> None:
    await desired.declare(DeclareRequest(resources=tenant("b")), OFFICER)
    killed = await desired.kill(KillRequest(tenant="a", link=link, reason="breach"), OFFICER)
    assert list(killed.shared_links) == ["tenants/b/links/core"]
    assert await state(pool, "a") == await state(pool, "b") == UNLINKED
    lanes = await pool.fetch(
        "SELECT DISTINCT r.name, p.lane FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id"
        " WHERE p.correlation_id = $1 AND r.kind = 5 ORDER BY r.name",
        killed.correlation_id,
    )
    assert [tuple(row) for row in lanes] == [("tenants/a/links/core", 0), ("tenants/b/links/core", 0)]
    with pytest.raises(Precondition) as refused:
        await desired.declare(DeclareRequest(resources=tenant("b")), OFFICER)
    assert refused.value.reason == "L1_OWNER_REVOKED"


async def test_the_kill_of_whom_it_is_shared_with_leaves_the_owner(pool: Pool, desired: DeclarationFlow) -> None:
    await desired.declare(DeclareRequest(resources=tenant("b")), OFFICER)
    assert not (await desired.kill(KillRequest(tenant="b", reason="breach"), OFFICER)).shared_links
    assert (await state(pool, "a"), await state(pool, "b")) == (LINKED, UNLINKED)


async def test_a_key_that_its_owner_gave_up_is_free(desired: DeclarationFlow) -> None:
    await desired.retire(RetireRequest(names=["tenants/a"], reason="gone"), OFFICER)
    await desired.declare(DeclareRequest(resources=tenant("c")), OFFICER)


async def test_a_link_takes_the_place_of_another(pool: Pool, desired: DeclarationFlow) -> None:
    renamed = Resource(name="tenants/a/links/core-v2", link=LinkSpec(system="core", provider="hsm", key="root"))
    await desired.declare(DeclareRequest(resources=[renamed]), OFFICER)
    old = await PostgresReads(Database(pool)).resource("tenants/a/links/core")
    assert old is not None
    assert (old.retired, old.link.state) == (True, UNLINKED)
    await desired.retire(RetireRequest(names=["tenants/a/links/core-v2"], reason="moved"), OFFICER)


async def test_what_an_older_release_stored_is_known_by_its_key(pool: Pool, desired: DeclarationFlow) -> None:
    await pool.execute("UPDATE resource SET l1 = NULL")
    await fill_l1(Database(pool))
    with pytest.raises(Precondition, match="tenants/a/links/core"):
        await desired.declare(DeclareRequest(resources=tenant("c")), OFFICER)
