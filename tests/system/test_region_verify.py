"""`region verify` says nothing of a whole region, and finds what somebody meddled with."""

from __future__ import annotations

import json
import uuid

from tests.system.world import REGIONS, World, eventually, tenancy

TENANT = f"verify-{uuid.uuid4().hex[:8]}"


def look(world: World, region: str) -> list[dict[str, str]] | None:
    """What it finds; None while it does not fit its exit status."""
    told = world.orbital("region", "verify", region, "-o", "json")
    assert told.returncode in {0, 8}, told.stderr
    found: list[dict[str, str]] = json.loads(told.stdout)
    assert bool(found) == (told.returncode == 8)
    return found


def test_a_region_at_rest_agrees_with_itself_and_a_meddled_one_does_not(world: World) -> None:
    world.declare(tenancy(TENANT))
    world.converged()
    for region in REGIONS:
        eventually(
            lambda region=region: look(world, region) == [] or None, 30, f"{region} agrees: {look(world, region)}"
        )
    vault = world.vault("eu10")
    vault.write("l2/keys/nobody.owns", type="aes256-gcm96")
    vault.secrets.kv.v2.delete_metadata_and_all_versions(f"services/{TENANT}/s0/v1", mount_point="keys")
    vault.write(f"l2/keys/{TENANT}.s0/config", deletion_allowed=True)
    vault.delete(f"l2/keys/{TENANT}.s0")
    place = f"tenants/{TENANT}/systems/s0"
    found = {(one["resource"], one["reason"]) for one in look(world, "eu10") or []}
    # The region may have brought the key back by now.
    assert found - {(place, "KEY_MISSING")} == {
        ("tenants/nobody/systems/owns", "KEY_ORPHANED"),
        (f"{place}/services/v1", "RECORD_MISSING"),
    }
    eventually(
        lambda: True if f"{TENANT}.s0" in world.key_material("eu10", TENANT)["transit"] else None,
        60,
        "the region brings the key back from its record",
    )
    assert look(world, "us20") == []
    vault.write("l2/keys/nobody.owns/config", deletion_allowed=True)
    vault.delete("l2/keys/nobody.owns")


def test_who_may_verify(world: World) -> None:
    assert world.orbital("region", "verify", "us20", "--as", "auditor").returncode == 0
    assert world.orbital("region", "verify", "us20", "--as", "eu10").returncode == 5
