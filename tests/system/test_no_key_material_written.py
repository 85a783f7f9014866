"""Everything that a whole stack wrote is searched for the key material of a tenant: nothing holds any of it.

Logs of every process, journals, OPA's logs, PostgreSQL, RabbitMQ, audit records, OpenBao's and SoftHSM's own files.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import grpc
import hvac
import pytest
from ahocorasick_rs import BytesAhoCorasick
from orbital.v1 import crypto_pb2 as crypto
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import Resource

from region.adapters.hsm.process import open_hsm
from region.ports.host import real_host
from stack.acquire import path as binary
from stack.layout import Layout
from stack.openbao.client import make_client
from stack.openbao.customer import NAME, PROVIDER
from stack.parts.softhsm import token_label
from tests.contract.region.test_material import _forms
from tests.system.world import REGIONS, World, refused, tenancy

TENANT = f"material-{uuid.uuid4().hex[:8]}"
# A key in the customer's KMS that no other tenant's Link names.
KEY = f"{TENANT}-kms"


async def written(world: World) -> None:
    """PostgreSQL has put into its files whatever it has in memory alone."""
    password = (world.place / "secrets" / "postgres-superuser").read_text().strip()
    connection = await asyncpg.connect(
        host=f"{world.state.run}-pg", user="postgres", password=password, database="orbital"
    )
    await connection.execute("CHECKPOINT")
    await connection.close()


def use(world: World, region: str, system: str) -> list[bytes]:
    """Every kind of call, right and wrong; gives the L4 that went through them."""
    where = {"tenant": TENANT, "system": system, "service": "v0"}
    plain = [secrets.token_bytes(32) for _ in range(3)]
    with world.crypto(region) as stub:
        sealed = stub.Wrap(crypto.WrapRequest(**where, plaintext=plain[0]), timeout=20).ciphertext
        assert stub.Unwrap(crypto.UnwrapRequest(**where, ciphertext=sealed), timeout=20).plaintext == plain[0]
        stub.Rewrap(crypto.RewrapRequest(**where, ciphertext=sealed), timeout=20)
        made = stub.GenerateDataKey(crypto.GenerateDataKeyRequest(**where), timeout=20).plaintext
        many = stub.BatchGenerateDataKey(crypto.BatchGenerateDataKeyRequest(**where, count=2), timeout=20).plaintexts
        items = [crypto.PlainItem(plaintext=one) for one in plain[1:]]
        packed = crypto.PlainItems(items=items).SerializeToString()
        stub.BatchWrap(crypto.BatchWrapRequest(**where, items=items), timeout=20)
        stub.BatchWrap(crypto.BatchWrapRequest(**where, packed=packed), timeout=20)
        # Refused with the material in the request: by the region, and by the policy.
        wrong = crypto.BatchWrapRequest(**where, items=[*items, crypto.PlainItem()])
        assert refused(lambda: stub.BatchWrap(wrong, timeout=20)).code() is grpc.StatusCode.INVALID_ARGUMENT
    with world.crypto(region, "auditor") as stub:
        request = crypto.WrapRequest(**where, plaintext=plain[0])
        assert refused(lambda: stub.Wrap(request, timeout=20)).code() is grpc.StatusCode.PERMISSION_DENIED
    return [*plain, made, *many]


def record(vault: hvac.Client, path: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = vault.read(f"keys/data/{path}")["data"]["data"]
    return found


def l3(vault: hvac.Client, system: str) -> list[bytes]:
    """The material of every L3 version, as transit opens it."""
    blobs = [blob for name in ("v0", "v1") for blob in record(vault, f"services/{TENANT}/{system}/{name}")["blobs"]]
    opened = [vault.write(f"l2/decrypt/{TENANT}.{system}", ciphertext=blob["text"]) for blob in blobs]
    return [base64.b64decode(one["data"]["plaintext"]) for one in opened]


async def l2_by_hsm(world: World, region: str, blobs: list[dict[str, str]]) -> list[bytes]:
    """The material of every L2 version, as the customer's L1 in the HSM opens it."""
    library = next(binary("softhsm").glob("usr/lib/**/libsofthsm2.so"))
    pin, conf = world.place / "secrets" / f"hsm-{region}-pin", world.place / f"softhsm-{region}" / "softhsm2.conf"
    async with open_hsm(library, token_label(region), pin, conf, real_host(), generate_missing=False) as hsm:
        label = f"{TENANT}-root"
        return [bytes(await hsm.unwrap(label, base64.b64decode(blob["text"]))) for blob in blobs]


def customer(world: World) -> hvac.Client:
    """The customer's KMS, with its owner's rights."""
    token = (world.place / "secrets" / f"{NAME}-root-token").read_text()
    return make_client(f"https://127.0.0.1:{world.state.ports[NAME]}", world.place / "identity" / "ca.pem", token)


def l2_by_kms(world: World, blobs: list[dict[str, str]]) -> list[bytes]:
    """The same, as the customer's KMS opens it."""
    kms = customer(world)
    texts = [base64.b64decode(blob["text"]).decode() for blob in blobs]
    opened = [kms.write(f"transit/decrypt/{KEY}", ciphertext=text) for text in texts]
    return [base64.b64decode(one["data"]["plaintext"]) for one in opened]


def places(world: World) -> dict[str, Path]:
    """Everywhere that the stack writes, by part."""
    layout = Layout(world.place)
    found = {path.name: path for path in world.place.iterdir()} | {"run": layout.run}
    if layout.postgres_pointer.exists():
        found["postgres"] = Path(layout.postgres_pointer.read_text().strip())
    return found


def files(place: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file and its content; the stack goes on running, so a file may be gone before it is read."""
    for path in (place, *place.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def estate(version: int) -> list[Resource]:
    """A System by the HSM and one by the customer's KMS, every key at that version."""
    resources = tenancy(TENANT, systems=2)
    for resource in resources:
        if resource.name.endswith("/links/s1"):
            resource.link.provider, resource.link.key = PROVIDER, KEY
        elif resource.HasField("system"):
            resource.system.key_version = version
        elif resource.HasField("service"):
            resource.service.key_version = version
    return resources


def material(world: World) -> set[bytes]:
    """What is behind every key of the tenant, in every region."""
    found: set[bytes] = set()
    for region in REGIONS:
        vault = world.vault(region)
        for system in ("s0", "s1"):
            found |= set(l3(vault, system))
        found |= set(asyncio.run(l2_by_hsm(world, region, record(vault, f"systems/{TENANT}/s0")["blobs"])))
        found |= set(l2_by_kms(world, record(vault, f"systems/{TENANT}/s1")["blobs"]))
    return found


def search(world: World, found: set[bytes]) -> tuple[set[str], list[str]]:
    """The parts whose files mention the tenant, and the files that hold any of it in any form."""
    # One pass for all patterns: a running stack writes gigabytes.
    patterns = BytesAhoCorasick({form for one in found for form in _forms(one)})
    mentioning: set[str] = set()
    holding: list[str] = []
    for part, place in places(world).items():
        for path, content in files(place):
            if TENANT.encode() in content:
                mentioning.add(part)
            if patterns.find_matches_as_indexes(content):
                holding.append(str(path))
    return mentioning, holding


# It reads all that every test before it made the stack write.
@pytest.mark.timeout(1200)
def test_nothing_that_the_stack_wrote_holds_key_material(world: World) -> None:
    found: set[bytes] = set()
    for version in (1, 2):
        customer(world).secrets.transit.create_key(KEY)
        world.declare(estate(version))
        world.converged(tenant=TENANT)
        for region in REGIONS:
            found |= {one for system in ("s0", "s1") for one in use(world, region, system)}
    found |= material(world)
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=TENANT, reason="found nothing", request_id=uuid.uuid4().hex), timeout=15)
    world.converged(tenant=TENANT)
    # In each region: 6 L4 of each of 4 uses, and 2 versions of each of 4 L3 and 2 L2.
    assert len(found) == 2 * (4 * 6 + 2 * 4 + 2 * 2)
    asyncio.run(written(world))
    mentioning, holding = search(world, found)
    # The search does see what is written: the name of the tenant is all over the place.
    assert {"log", "postgres", "region-eu10", "region-us20"} <= mentioning
    assert holding == []
