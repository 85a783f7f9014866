"""Steps about whose key it is: two L1 providers, an L1 that its customer disables, and the proof of a revocation."""

from __future__ import annotations

import time
from functools import partial

from orbital.v1.receipt_pb2 import GetProofRequest

from console.cli.commands.proof import headline
from console.cli.moments import elapsed
from console.demo.state import Demo, expect, until
from runtime.errors import Invalid, OrbitalError, Unavailable
from runtime.files import read_bytes
from runtime.proof import page, read_file, verify, write_file

REFUSED = "L1_REFUSED"


def two_providers(demo: Demo) -> str:
    """A Service whose L1 is in the region's HSM, and one whose L1 is in the customer's own KMS."""
    told = []
    for service in (demo.service, demo.guest):
        tenant, system, _ = service.split("/")
        (link,) = [row for row in demo.rows("links", tenant=tenant) if row["system"] == system]
        for region in demo.regions_of(service):
            demo.wrap(service, region)
            demo.unwrap(service, region)
        told.append(f"{tenant} by {link['provider']}")
    expect(len({one.rpartition(" ")[2] for one in told}) > 1, f"both use the same provider: {', '.join(told)}")
    return ", ".join(told)


def disabled(demo: Demo) -> str:
    """The customer disables its L1: every region refuses within seconds, without a task, until it is allowed again."""
    regions = demo.regions_of(demo.guest)
    demo.stack.allow_l1(False)
    begun = time.monotonic()
    try:
        for region in regions:
            until(partial(_ended, demo, region, REFUSED), partial(_still, region, REFUSED))
        took = time.monotonic() - begun
        tenant = demo.guest.split("/")[0]
        until(
            lambda: [row["reason"] for row in demo.rows("placements", tenant=tenant)].count(REFUSED) == len(regions),
            lambda: "not every region said why",
        )
    finally:
        demo.stack.allow_l1(True)
    for region in regions:
        until(partial(_ended, demo, region, ""), partial(_still, region, "nothing"))
    return (
        f"refused in {len(regions)} regions after {elapsed(took)}, reported as {REFUSED}; allowed again, it came back"
    )


def _ended(demo: Demo, region: str, reason: str) -> bool:
    return _reason(demo, region) == reason


def _still(region: str, wanted: str) -> str:
    return f"{region} does not answer with {wanted}"


def _reason(demo: Demo, region: str) -> str:
    try:
        demo.unwrap(demo.guest, region)
    except Unavailable:
        return "UNAVAILABLE"
    except OrbitalError as error:
        return error.reason
    return ""


def prove(demo: Demo) -> str:
    """What each region signed about the kill, in a file that is checked without the system; a changed byte is found."""
    request = GetProofRequest(correlation_id=demo.traced)
    answer = demo.connection.call(demo.connection.proof.GetProof, request)
    file = demo.directory / "proof.json"
    file.write_bytes(write_file(answer))
    content = read_bytes(file)
    said = page(verify(read_file(content), demo.connection.roots))
    expect(not said["missing"], headline(said))
    half = len(content) // 2
    try:
        verify(read_file(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]), demo.connection.roots)
    except Invalid:
        return f"{headline(said)}; {len(said['receipts'])} receipts in {file}, a changed byte is found"
    expect(False, "a changed byte was not found")
    return ""
