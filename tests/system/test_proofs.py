"""What regions destroy is proved: by a file that anyone can check without the system."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.receipt_pb2 import GetProofRequest
from orbital.v1.receipt_pb2_grpc import ProofServiceStub

from tests.system.world import REGIONS, ROOT, World, eventually, refused, tenancy

# Of its own in every run, because a killed tenant stays killed.
TENANT = f"proof-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def killed(world: World) -> str:
    """The correlation ID of a kill that every region has carried out."""
    world.declare(tenancy(TENANT))
    world.converged(tenant=TENANT)
    with world.registry() as stub:
        request = registry.KillRequest(tenant=TENANT, reason="to be proved", request_id=uuid.uuid4().hex)
        correlation_id: str = stub.Kill(request, timeout=15).correlation_id
    world.converged(tenant=TENANT)
    return correlation_id


def verify(file: Path, ca: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """The check as a stranger runs it, who knows no stack."""
    command = [sys.executable, "-m", "console.cli", "proof", "verify", str(file), "--ca", ca, *options]
    return subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60, check=False)


def test_every_region_proves_a_kill_and_the_file_is_checked_offline(world: World, killed: str, tmp_path: Path) -> None:
    file, ca = tmp_path / "proof.json", str(world.place / "identity" / "history.pem")

    def whole() -> dict[str, object] | None:
        told = world.orbital("proof", killed, "-f", str(file), "-o", "json")
        return json.loads(told.stdout) if told.returncode == 0 else None

    said = eventually(whole, 30, "a proof of every region")
    assert (said["proven"], said["regions"], said["missing"]) == (len(REGIONS), len(REGIONS), [])
    about = {(one["region"], one["resource"]) for one in said["receipts"]}  # type: ignore[attr-defined]
    assert about == {(region, f"tenants/{TENANT}{rest}") for region in REGIONS for rest in ("", "/links/s0")}
    offline = verify(file, ca, "-o", "json")
    assert (offline.returncode, json.loads(offline.stdout)) == (0, said)
    file.write_bytes(file.read_bytes().replace(b'"proven": 2', b'"proven": 3'))
    forged = verify(file, ca)
    assert forged.returncode == 10
    assert b"was changed" in forged.stderr


def test_the_audit_records_of_a_receipt_can_be_found_again(world: World, killed: str, tmp_path: Path) -> None:
    told = world.orbital("proof", killed, "-f", str(tmp_path / "p"), "-o", "json")
    for receipt in json.loads(told.stdout)["receipts"]:
        log = world.place / "log" / f"openbao-{receipt['region']}-audit.jsonl"
        attempt = f'"x-orbital-attempt":["{receipt["audit_attempt"]}"]'.encode()
        records = [line for line in log.read_bytes().splitlines(keepends=True) if attempt in line]
        assert len(records) == receipt["audit_records"] > 4
        assert hashlib.sha256(b"".join(records)).hexdigest() == receipt["audit_sha256"]
        assert all(f'"x-orbital-correlation-id":["{killed}"]'.encode() in line for line in records)


def test_who_may_read_a_proof(world: World, killed: str) -> None:
    for identity in ("operator", "auditor"):
        with world.channel(identity) as channel:
            assert ProofServiceStub(channel).GetProof(GetProofRequest(correlation_id=killed), timeout=15).receipts
    with world.channel("eu10") as channel:
        stub = ProofServiceStub(channel)
        error = refused(lambda: stub.GetProof(GetProofRequest(correlation_id=killed), timeout=15))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    with world.channel() as channel:
        stub = ProofServiceStub(channel)
        error = refused(lambda: stub.GetProof(GetProofRequest(correlation_id="0" * 32), timeout=15))
        assert error.code() is grpc.StatusCode.NOT_FOUND


def test_what_destroys_nothing_has_no_proof(world: World, tmp_path: Path) -> None:
    correlation_id = world.declare(tenancy(f"un{TENANT}"))
    world.converged(tenant=f"un{TENANT}")
    told = world.orbital("proof", correlation_id, "-f", str(tmp_path / "p"), "-o", "json")
    assert told.returncode != 0
    assert b"revokes nothing" in told.stderr or b"nothing to prove" in told.stderr.lower()
