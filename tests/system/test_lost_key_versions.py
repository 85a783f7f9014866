"""A key that lost versions by hand is flagged within seconds, and has them again."""

from __future__ import annotations

import logging
import time
import uuid

from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.resource_pb2 import Resource, SystemSpec

from tests.system.flags import REGION, Record, raised
from tests.system.world import SECONDS, World, eventually, retried, tenancy

log = logging.getLogger(__name__)

VERSIONS = 3
# A second's rest, and twenty Systems a second: other tests leave a few hundred.
WITHIN = 60.0


def test_a_key_that_lost_a_version_is_flagged_and_gets_it_back(world: World, measured: Record) -> None:
    tenant = f"lost-{uuid.uuid4().hex[:6]}"
    place = {"tenant": tenant, "system": "s0", "service": "v0"}
    world.declare(tenancy(tenant, 1, 1))
    world.converged(tenant=tenant)
    with world.crypto(REGION) as stub:
        wrapped = retried(lambda: stub.Wrap(WrapRequest(**place, plaintext=b"L4"), timeout=SECONDS)).ciphertext
    world.declare([Resource(name=f"tenants/{tenant}/systems/s0", system=SystemSpec(key_version=VERSIONS))])
    world.converged(tenant=tenant)
    vault, key = world.vault(REGION), f"l2/keys/{tenant}.s0"
    vault.write(f"{key}/config", min_decryption_version=VERSIONS, min_encryption_version=VERSIONS)
    vault.write(f"{key}/trim", min_available_version=VERSIONS)
    began = time.monotonic()
    flag = raised(world, "region-immediate", {"KEYS_DISAGREE"}, WITHIN)
    took = time.monotonic() - began
    log.info("KEYS_DISAGREE %.1f s after the versions were gone: %s", took, flag.message)
    measured("KEYS_DISAGREE", took)

    def whole() -> bool | None:
        held = vault.read(key)["data"]
        return (held["latest_version"], held["min_decryption_version"]) == (VERSIONS, 1) or None

    eventually(whole, 30, "transit has every version again")
    with world.crypto(REGION) as stub:
        unwrap = UnwrapRequest(**place, ciphertext=wrapped)
        assert retried(lambda: stub.Unwrap(unwrap, timeout=SECONDS)).plaintext == b"L4"
