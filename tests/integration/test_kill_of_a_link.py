"""The kill of one Link on a real PostgreSQL: its tenant and the tenant's other Links go on."""

import pytest
from orbital.v1.registry_pb2 import DeclareRequest, KillRequest
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, ServiceSpec, SystemSpec, TenantState

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.desired import PostgresDesired
from gateway.adapters.postgres.see import PostgresReads
from gateway.flow.desired import DeclarationFlow
from gateway.ports.serving import Caller
from gateway.times import new_correlation_id
from runtime.errors import Invalid, NotFound
from tests.integration.test_gateway import estate

OFFICER = Caller("spiffe://orbital/person/officer", "d-2")


@pytest.fixture
async def desired(pool: Pool) -> DeclarationFlow:
    """With a tenant of two systems: core, which estate() links, and edge, with two services."""
    edge = "tenants/acme/systems/edge"
    made = DeclarationFlow(PostgresDesired(Database(pool), "gateway"), new_correlation_id)
    more = [
        Resource(name=edge, system=SystemSpec()),
        Resource(name=f"{edge}/services/pay", service=ServiceSpec()),
        Resource(name=f"{edge}/services/ship", service=ServiceSpec()),
        Resource(name="tenants/acme/links/edge", link=LinkSpec(system="edge", provider="hsm", key="edge-root")),
    ]
    await made.declare(DeclareRequest(resources=[*estate(), *more]), OFFICER)
    return made


async def test_it_alone_is_driven_on_lane_zero_and_the_reason_is_kept(pool: Pool, desired: DeclarationFlow) -> None:
    asked = KillRequest(tenant="acme", link="edge", validate_only=True)
    radius = await desired.kill(asked, OFFICER)
    assert (radius.links, radius.services, list(radius.regions)) == (1, 2, ["eu10", "us20"])
    killed = await desired.kill(KillRequest(tenant="acme", link="edge", reason="key stolen"), OFFICER)
    driven = await pool.fetch(
        "SELECT DISTINCT r.name, p.lane FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id"
        " WHERE p.correlation_id = $1",
        killed.correlation_id,
    )
    assert [(row["name"], row["lane"]) for row in driven] == [("tenants/acme/links/edge", 0)]
    reads = PostgresReads(Database(pool))
    tenant, core, edge = [
        await reads.resource(name) for name in ("tenants/acme", "tenants/acme/links/core", "tenants/acme/links/edge")
    ]
    assert tenant is not None
    assert core is not None
    assert edge is not None
    assert tenant.tenant.state != TenantState.TENANT_STATE_KILLED
    assert core.link.state == LinkState.LINK_STATE_LINKED
    assert edge.link.state == LinkState.LINK_STATE_UNLINKED
    job = await reads.job(killed.correlation_id)
    assert job is not None
    assert (job.action, job.detail, job.total) == ("kill acme/edge", "key stolen", 2)
    assert (await desired.kill(KillRequest(tenant="acme", link="edge", reason="again"), OFFICER)).already_killed


async def test_a_tenant_killed_after_one_of_its_links_remembers_the_others(
    pool: Pool, desired: DeclarationFlow
) -> None:
    await desired.kill(KillRequest(tenant="acme", link="edge", reason="key stolen"), OFFICER)
    assert (await desired.kill(KillRequest(tenant="acme", reason="breach"), OFFICER)).links == 2
    tenant = await PostgresReads(Database(pool)).resource("tenants/acme")
    assert tenant is not None
    assert list(tenant.tenant.unlinked_by_kill) == ["core"]


async def test_what_is_no_link_of_the_tenant_is_named(desired: DeclarationFlow) -> None:
    with pytest.raises(NotFound) as unknown:
        await desired.kill(KillRequest(tenant="acme", link="none", reason="why"), OFFICER)
    assert (unknown.value.reason, unknown.value.field) == ("UNKNOWN_LINK", "link")
    with pytest.raises(Invalid) as malformed:
        await desired.kill(KillRequest(tenant="acme", link="no/link", reason="why"), OFFICER)
    assert malformed.value.field == "link"
