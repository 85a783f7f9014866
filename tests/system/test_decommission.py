"""A region that never answers is taken out by two people, and what waited for it says what is not proven."""

from __future__ import annotations

import json
import uuid

import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import RegionSpec, Resource

from tests.system.world import World, eventually, tenancy

NAME = uuid.uuid4().hex[:8]
REGION, TENANT = f"gone-{NAME}", f"left-{NAME}"


@pytest.fixture(scope="module")
def killed(world: World) -> str:
    """The kill of a tenant that is in eu10 and in the region that never answers; by its correlation ID."""
    resources = tenancy(TENANT)
    for one in resources:
        if one.HasField("tenant"):
            one.tenant.placement.regions[:] = ["eu10", REGION]
    world.declare([Resource(name=f"regions/{REGION}", region=RegionSpec(area="x")), *resources])
    world.converged(tenant=TENANT, region="eu10")
    done = world.orbital("kill", TENANT, "--reason", "a breach", "--yes", "-o", "json", "--as", "officer")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["correlation_id"])


def test_a_kill_waits_and_every_refusal_names_the_way(world: World, killed: str) -> None:
    waiting = world.orbital("wait", killed, "--timeout", "3s")
    assert waiting.returncode == 7
    assert REGION in str(waiting.stderr)
    asked = world.orbital("retire", f"regions/{REGION}", "--reason", "flooded", "--dry-run")
    assert asked.returncode == 0, asked.stderr
    assert f"orbital region decommission {REGION}" in str(asked.stderr)
    assert "not proven" in str(asked.stdout)


def test_two_people_take_it_out_and_the_kill_says_what_is_not_proven(world: World, killed: str) -> None:
    asked = world.orbital("region", "decommission", REGION, "--reason", "flooded", "-o", "json")
    assert asked.returncode == 0, asked.stderr
    request = json.loads(asked.stdout)
    assert (request["state"], request["region"]) == ("open", REGION)
    alone = world.orbital("approve", request["id"], "--yes")
    assert alone.returncode == 5, alone.stderr
    done = world.orbital("approve", request["id"], "--yes", "--as", "officer")
    assert done.returncode == 0, done.stderr

    def ended() -> bool:
        with world.registry() as stub:
            job = next(iter(stub.WatchJob(registry.WatchJobRequest(correlation_id=killed), timeout=15)))
        return bool(job.state == registry.JOB_STATE_GIVEN_UP)

    eventually(ended, 15, "the kill ends without the region")
    waited = world.orbital("wait", killed, "--timeout", "10s")
    assert waited.returncode == 12, waited.stderr
    assert "not proven" in str(waited.stderr)
    assert REGION in str(waited.stderr)
    proof = world.orbital("proof", killed, "-f", "/dev/null", "-o", "json", "--as", "officer")
    (lost,) = json.loads(proof.stdout)["lost"]
    assert (lost["region"], lost["reason"]) == (REGION, "flooded")
    again = world.orbital("region", "decommission", REGION, "--reason", "again")
    assert again.returncode == 9, again.stderr
