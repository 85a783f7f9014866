"""Four eyes: a killed tenant comes back by two people, and by nothing else."""

from __future__ import annotations

import json
import uuid

import grpc
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.approval_pb2 import ApproveRequest
from orbital.v1.approval_pb2_grpc import ApprovalServiceStub
from orbital.v1.audit_pb2 import ListAuditRequest
from orbital.v1.audit_pb2_grpc import AuditServiceStub
from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest

from tests.system.world import World, eventually, refused, tenancy

TENANT = f"restore-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def wrapped(world: World) -> dict[str, bytes]:
    """What each region wrapped before the kill, by region."""
    world.declare(tenancy(TENANT))
    world.converged(tenant=TENANT)
    found: dict[str, bytes] = {}
    for region in ("eu10", "us20"):
        with world.crypto(region) as stub:
            request = WrapRequest(tenant=TENANT, system="s0", service="v0", plaintext=b"kept")
            found[region] = stub.Wrap(request, timeout=15).ciphertext
    done = world.orbital("kill", TENANT, "--reason", "a breach", "--yes", "--wait", "--as", "officer")
    assert done.returncode == 0, done.stderr
    return found


def unwrapped(world: World, region: str, ciphertext: bytes) -> bytes:
    with world.crypto(region) as stub:
        request = UnwrapRequest(tenant=TENANT, system="s0", service="v0", ciphertext=ciphertext)
        return bytes(stub.Unwrap(request, timeout=15).plaintext)


def test_a_killed_tenant_comes_back_by_two_people(world: World, wrapped: dict[str, bytes]) -> None:
    for region, ciphertext in wrapped.items():
        refused(lambda region=region, ciphertext=ciphertext: unwrapped(world, region, ciphertext))
    with world.registry() as stub:
        error = refused(lambda: stub.Declare(registry.DeclareRequest(resources=tenancy(TENANT)), timeout=15))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "orbital restore" in error.details()
    asked = world.orbital("restore", TENANT, "--reason", "false alarm", "-o", "json")
    assert asked.returncode == 0, asked.stderr
    (request,) = json.loads(asked.stdout) if asked.stdout.startswith(b"[") else [json.loads(asked.stdout)]
    assert (request["state"], request["links"], request["regions"]) == ("open", ["s0"], ["eu10", "us20"])
    listed = json.loads(world.orbital("get", "restorations", request["id"], "-o", "json").stdout)
    assert [one["asked_by"] for one in listed] == ["spiffe://orbital/person/operator"]
    own = world.orbital("approve", request["id"], "--yes")
    assert own.returncode == 5, own.stdout
    assert b"another person has to approve" in own.stderr
    other = world.orbital("approve", request["id"], "--yes", "--as", "auditor")
    assert other.returncode == 5
    assert b"may not call" in other.stderr
    done = world.orbital("approve", request["id"], "--yes", "--wait", "--as", "officer")
    assert done.returncode == 0, done.stderr
    for region, ciphertext in wrapped.items():
        assert unwrapped(world, region, ciphertext) == b"kept"
    assert world.converged(tenant=TENANT)
    traced = json.loads(world.orbital("trace", request["id"], "-o", "json").stdout)
    assert traced["actor"] == "spiffe://orbital/person/officer"
    assert in_the_trail(world, request["id"]) == {"restoration 1", "restoration 2", "denial FOUR_EYES"}


def in_the_trail(world: World, identity: str) -> set[str]:
    """Once the records are sealed, who asked, who was refused, who approved."""

    def look() -> set[str] | None:
        found, after = set(), 0
        with world.channel("auditor") as channel:
            stub = AuditServiceStub(channel)
            while page := stub.ListAudit(ListAuditRequest(after=after), timeout=30).records:
                after = page[-1].sequence
                bodies = [(one.kind, json.loads(one.body)) for one in page if one.kind in ("restoration", "denial")]
                found |= {
                    f"{kind} {body.get('state', body.get('reason'))}"
                    for kind, body in bodies
                    if body["correlation_id"] == identity
                }
        return found if len(found) == 3 else None

    return eventually(look, 30, "all of it is in the trail")


def test_a_request_is_declined_by_anybody_who_may_ask_and_is_then_over(world: World) -> None:
    tenant = f"un{TENANT}"
    world.declare(tenancy(tenant)[:1])
    assert world.orbital("restore", tenant, "--reason", "why").returncode == 9
    assert world.orbital("kill", tenant, "--reason", "test", "--yes").returncode == 0
    asked = json.loads(world.orbital("restore", tenant, "--reason", "why", "-o", "json", "--as", "officer").stdout)
    again = world.orbital("restore", tenant, "--reason", "why")
    assert (again.returncode, asked["id"] in again.stderr.decode()) == (9, True)
    assert world.orbital("decline", asked["id"], "--reason", "not sure", "--as", "officer").returncode == 0
    with world.channel() as channel:
        stub = ApprovalServiceStub(channel)
        late = refused(lambda: stub.Approve(ApproveRequest(id=asked["id"]), timeout=15))
        lost = refused(lambda: stub.Approve(ApproveRequest(id="none"), timeout=15))
    assert (late.code(), lost.code()) == (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)
