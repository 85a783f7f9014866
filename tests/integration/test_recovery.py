"""When a region whose state went back may serve again, on a real PostgreSQL and broker."""

from __future__ import annotations

from uuid import uuid4

import pytest
from orbital.v1.dispatch_pb2 import Recovery
from orbital.v1.registry_pb2 import KillRequest, Rebuild
from orbital.v1.resource_pb2 import LinkSpec, Resource, SystemSpec
from orbital.v1.task_pb2 import Task

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.state import PostgresState
from tests.integration.test_gateway import CALLER, Gateway, done, estate, gateway
from tests.integration.test_restorations import OFFICER, ask, restoring

__all__ = ["gateway"]
LINK, TENANT, OTHER = "tenants/acme/links/core", "tenants/acme", "tenants/acme/links/side"


def beside() -> list[Resource]:
    """A second System of the tenant, with a Link that nobody ever revokes."""
    return [
        Resource(name="tenants/acme/systems/side", system=SystemSpec()),
        Resource(name=OTHER, link=LinkSpec(system="side", provider="hsm", key="acme-root")),
    ]


async def everywhere(gateway: Gateway, *resources: Resource) -> None:
    await gateway.declare(*resources)
    await gateway.report(*(done(task) for task in await gateway.drive()))


async def kill(gateway: Gateway) -> None:
    await gateway.desired.kill(KillRequest(tenant="acme", reason="breach"), CALLER)
    await gateway.report(*(done(task) for task in await gateway.drive()))


class Recovering:
    """eu10 went back, and everything there is driven again."""

    def __init__(self, gateway: Gateway) -> None:
        self._state, self._id = PostgresState(Database(gateway.pool)), uuid4().hex
        self._gateway = gateway

    async def tasks(self) -> list[Task]:
        assert await self._state.begin_recovery("eu10", Recovery(id=self._id, stores=["openbao"]))
        driven = [task for task in await self._gateway.drive() if task.region == "eu10"]
        assert not await self.over()
        return driven

    async def over(self) -> bool:
        return self._id in (await self._state.recovered(["eu10"])).get("eu10", [])

    async def rebuild(self) -> Rebuild | None:
        listed = (await PostgresReads(Database(self._gateway.pool)).regions()).regions
        found = next(region for region in listed if region.resource.name == "regions/eu10")
        return found.rebuild if found.HasField("rebuild") else None


async def test_what_was_never_destroyed_does_not_keep_a_region_from_serving(gateway: Gateway) -> None:
    await everywhere(gateway, *estate(), *beside())
    recovering = Recovering(gateway)
    tasks = await recovering.tasks()
    assert {task.resource.name for task in tasks} >= {TENANT, LINK, OTHER}
    await gateway.report(*(done(task) for task in tasks if task.resource.name == TENANT))
    assert await recovering.over()


async def test_a_region_serves_only_after_each_revocation(gateway: Gateway) -> None:
    await everywhere(gateway, *estate(), *beside())
    await kill(gateway)
    recovering = Recovering(gateway)
    tasks = await recovering.tasks()
    revoked = [task for task in tasks if task.lane == 0]
    assert {task.resource.name for task in revoked} == {TENANT, LINK, OTHER}
    for task in revoked:
        assert not await recovering.over()
        await gateway.report(done(task))
    assert await recovering.over()


@pytest.mark.parametrize("name", [TENANT, LINK])
async def test_what_was_destroyed_before_and_linked_again_is_waited_for(gateway: Gateway, name: str) -> None:
    await everywhere(gateway, *estate())
    await kill(gateway)
    two = restoring(gateway.pool)
    await two.approve((await ask(two)).id, OFFICER)
    recovering = Recovering(gateway)
    tasks = await recovering.tasks()
    assert all(task.lane == 1 for task in tasks)
    await gateway.report(*(done(task) for task in tasks if task.resource.name != name))
    assert not await recovering.over()
    await gateway.report(*(done(task) for task in tasks if task.resource.name == name))
    assert await recovering.over()


async def test_how_far_it_is_can_be_seen_until_all_of_it_is_driven_again(gateway: Gateway) -> None:
    await everywhere(gateway, *estate(), *beside())
    recovering = Recovering(gateway)
    assert await recovering.rebuild() is None
    tasks = await recovering.tasks()
    for number, task in enumerate(tasks):
        over, rebuild = await recovering.over(), await recovering.rebuild()
        assert rebuild is not None
        assert (rebuild.replayed, rebuild.total, list(rebuild.stores)) == (number, len(tasks), ["openbao"])
        assert rebuild.serving is over
        assert rebuild.HasField("remaining") is (number > 0)
        await gateway.report(done(task))
    assert await recovering.over()
    assert await recovering.rebuild() is None
    # What is behind later has nothing to do with it.
    await gateway.declare(Resource(name="tenants/acme/systems/side", labels={"a": "b"}, system=SystemSpec()))
    assert await recovering.rebuild() is None
