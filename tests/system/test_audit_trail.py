"""History is whole, and whoever changes it is found: on the real stack, with the copies that its regions hold."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.audit_pb2 import ListAuditRequest
from orbital.v1.audit_pb2_grpc import AuditServiceStub

from tests.system.world import REGIONS, ROOT, World, eventually, refused, tenancy

TENANT = f"audit-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def export(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a kill in it, and with a head from every region."""
    world.declare(tenancy(TENANT))
    world.converged(tenant=TENANT)
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=TENANT, reason="audited", request_id=uuid.uuid4().hex), timeout=15)
    world.converged(tenant=TENANT)

    def verified() -> bool | None:
        told = world.orbital("audit", "verify", "-o", "json")
        return (told.returncode == 0 and json.loads(told.stdout)["regions"] == list(REGIONS)) or None

    eventually(verified, 90, "a head in every region")
    file = tmp_path_factory.mktemp("audit") / "trail.jsonl"
    told = world.orbital("audit", "export", str(file))
    assert told.returncode == 0, told.stderr
    return file


def check(world: World, file: Path) -> subprocess.CompletedProcess[bytes]:
    """The check as a stranger runs it, who knows no stack."""
    ca = str(world.place / "identity" / "history.pem")
    command = [sys.executable, "-m", "console.cli", "audit", "verify", "--export", str(file), "--ca", ca]
    return subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False)


def test_the_trail_tells_of_the_kill_and_is_whole(world: World, export: Path) -> None:
    told = check(world, export)
    assert told.returncode == 0, told.stderr
    assert b"copies held by eu10, us20" in told.stdout
    records = [json.loads(line) for line in export.read_bytes().splitlines() if b'"sequence"' in line]
    assert [one["sequence"] for one in records] == list(range(1, len(records) + 1))
    bodies = [json.loads(one["body"]) for one in records]
    assert any(body.get("action") == f"kill {TENANT}" and body["detail"] == "audited" for body in bodies)
    receipts = [one for one in bodies if str(one.get("resource", "")).startswith(f"tenants/{TENANT}")]
    assert {one["region"] for one in receipts} == set(REGIONS)


@pytest.mark.parametrize("forgery", ["altered", "removed", "reordered", "cut", "cut with its heads"])
def test_a_forgery_is_found_offline_and_named(world: World, export: Path, tmp_path: Path, forgery: str) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    first = next(index for index, line in enumerate(lines) if b'"sequence": 3,' in line)
    if forgery == "altered":
        record = json.loads(lines[first])
        lines[first] = json.dumps(record | {"body": f"{record['body'][:-1]} }}"}).encode() + b"\n"
        message = b"Record #3 altered"
    elif forgery == "removed":
        del lines[first]
        message = b"Record #3 removed"
    elif forgery == "reordered":
        lines[first], lines[first + 1] = lines[first + 1], lines[first]
        message = b"Record #3 removed: #4 follows #2"
    elif forgery == "cut with its heads":
        lines = [line for line in lines[:first] if b'"head"' not in line]
        message = b"No signed head among #1 to #2"
    else:
        lines = lines[:first] + [line for line in lines[first:] if b'"head"' in line]
        message = b"Records #3 to #"
    file = tmp_path / "forged.jsonl"
    file.write_bytes(b"".join(lines))
    told = check(world, file)
    assert told.returncode == 10
    assert message in told.stderr


def test_who_may_read_the_trail(world: World) -> None:
    for identity in ("operator", "auditor"):
        with world.channel(identity) as channel:
            assert AuditServiceStub(channel).ListAudit(ListAuditRequest(page_size=1), timeout=15).records
    with world.channel("eu10") as channel:
        stub = AuditServiceStub(channel)
        error = refused(lambda: stub.ListAudit(ListAuditRequest(), timeout=15))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
