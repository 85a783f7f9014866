"""Each adapter against its real part: what it does, and what it says when the part is away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from region.adapters.identity.token_file import write_token
from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.tokens import BaoTokens
from region.adapters.openbao.transit import BaoTransit
from region.flow.bearer import keep_bearer
from region.flow.signals import Wakeup
from region.ports.host import real_host
from region.ports.vault import StoredRecord
from runtime.errors import Conflict, NotFound, Stalled, Unavailable
from runtime.openbao import Answer, OpenBao, audited, open_openbao
from runtime.templates import render
from tests.contract.region.conftest import RealParts
from tests.contract.region.gateway import until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def openbao(real_parts: RealParts) -> AsyncIterator[OpenBao]:
    async with open_openbao(real_parts.login) as client:
        yield client


async def test_records_are_checked_and_set_and_only_the_newest_is_kept(
    openbao: OpenBao, real_parts: RealParts, tenant: str
) -> None:
    store = KvStore(openbao, "keys")
    path = f"systems/{tenant}/core"
    assert await store.read(path) is None
    assert await store.names(f"systems/{tenant}") == []
    assert await store.write(path, {"a": 1}, 0) == 1
    with pytest.raises(Conflict):
        await store.write(path, {"a": 2}, 0)
    assert await store.write(path, {"a": 2}, 1) == 2
    found = await store.read(path)
    assert found is not None
    assert (found.fields, found.revision) == ({"a": 2}, 2)
    assert await store.names(f"systems/{tenant}") == ["core"]
    kept = real_parts.client.secrets.kv.v2.read_secret_metadata(path, mount_point="keys")["data"]["versions"]
    assert list(kept) == ["2"]


async def test_what_a_process_wrote_is_remembered_until_it_proves_outdated(openbao: OpenBao, tenant: str) -> None:
    store, other = KvStore(openbao, "keys"), KvStore(openbao, "keys")
    path = f"systems/{tenant}/core"
    assert await store.recall(path) is None
    await store.write(path, {"a": 1}, 0)
    assert await store.recall(path) == StoredRecord({"a": 1}, 1)
    assert await other.recall(path) is None
    await other.write(path, {"a": 2}, 1)
    with pytest.raises(Conflict):
        await store.write(path, {"a": 3}, 1)
    assert await store.recall(path) is None
    assert await store.read(path) == StoredRecord({"a": 2}, 2)


async def test_a_read_is_shared_by_those_of_one_change_alone(openbao: OpenBao, tenant: str) -> None:
    store = KvStore(openbao, "keys")
    path = f"systems/{tenant}/core"
    await store.write(path, {"a": 1}, 0)
    asked: list[str] = []
    call = openbao.call

    async def counted(method: str, path: str, *given: Any, **more: Any) -> Answer:
        asked.append(method)
        return await call(method, path, *given, **more)

    openbao.call = counted  # type: ignore[method-assign]

    async def read(change: str) -> StoredRecord | None:
        with audited(change):
            return await store.read(path)

    found = await asyncio.gather(*(read(change) for change in ("one", "two") for _ in range(8)))
    assert found == [StoredRecord({"a": 1}, 1)] * 16
    # Of each change the first, and one for those who came meanwhile.
    assert asked == ["GET"] * 4


async def test_transit_imports_in_order_never_exports_and_never_makes_a_key(
    openbao: OpenBao, real_parts: RealParts, tenant: str
) -> None:
    transit, name = BaoTransit(openbao, "l2", real_host()), f"{tenant}.core"
    assert await transit.key(name) is None
    with pytest.raises(NotFound):
        await transit.encrypt(name, [bytearray(32)])
    assert await transit.key(name) is None
    permit = await BaoPermits(openbao).take()
    await transit.prepare_import()
    await transit.import_version(name, bytearray(b"1" * 32), permit, first=True)
    with pytest.raises(Conflict):
        await transit.import_version(name, bytearray(b"1" * 32), permit, first=True)
    (first,) = await transit.encrypt(name, [bytearray(b"L3")])
    await transit.import_version(name, bytearray(b"2" * 32), permit, first=False)
    (second,) = await transit.rewrap(name, [first])
    assert (first[:9], second[:9]) == ("vault:v1:", "vault:v2:")
    assert await transit.decrypt(name, [first, second]) == [b"L3", b"L3"]
    with pytest.raises(Stalled):
        await transit.decrypt(name, ["vault:v9:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
    assert real_parts.client.secrets.transit.read_key(name, mount_point="l2")["data"]["exportable"] is False
    await transit.destroy(name, permit)
    await transit.destroy(name, permit)
    with pytest.raises(NotFound):
        await transit.decrypt(name, [first])
    many = [bytearray(b"x")] * 1200
    await transit.import_version(name, bytearray(b"1" * 32), permit, first=True)
    assert await transit.decrypt(name, await transit.encrypt(name, many)) == many


async def test_an_openbao_that_is_away_sealed_or_closed_to_us_is_told_apart(
    openbao: OpenBao, real_parts: RealParts, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"https://127.0.0.1:{probe.getsockname()[1]}"
    async with open_openbao(replace(real_parts.login, address=nowhere)) as away:
        with pytest.raises(Unavailable) as refused:
            await KvStore(away, "keys").read("x/y")
        assert refused.value.reason == "OPENBAO_UNREACHABLE"
    (tmp_path / "wrong").write_text("wrong")
    async with open_openbao(replace(real_parts.login, secret_id_file=tmp_path / "wrong")) as stranger:
        with pytest.raises(Unavailable) as refused:
            await KvStore(stranger, "keys").read("x/y")
        assert refused.value.reason == "OPENBAO_LOGIN"
    with pytest.raises(Unavailable) as refused:
        await openbao.call("GET", "sys/policies/acl")
    assert refused.value.reason == "OPENBAO_DENIED"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "keys/x"), ("LIST", "keys"), ("GET", "data/x"), ("LIST", "metadata")]
)
async def test_an_engine_that_is_not_there_is_no_answer_about_keys(
    openbao: OpenBao, real_parts: RealParts, method: str, path: str
) -> None:
    """Else a key whose engine was moved away would count as destroyed."""
    with pytest.raises(Unavailable) as caught:
        await openbao.call(method, f"moved/{path}", token=real_parts.client.token)
    assert caught.value.reason == "OPENBAO_MOUNT_MISSING"


async def test_a_revoked_token_is_replaced(openbao: OpenBao, real_parts: RealParts, tenant: str) -> None:
    store = KvStore(openbao, "keys")
    assert await store.read(f"tenants/{tenant}") is None
    real_parts.client.auth.token.revoke(openbao._token)
    assert await store.read(f"tenants/{tenant}") is None


def test_the_token_file_is_what_the_sidecar_reads(tmp_path: Path) -> None:
    write_token(tmp_path / "token.yaml", "a.b.c")
    expected = render(ROOT / "envoy/identity/token.yaml", {"TOKEN": "a.b.c"})
    assert yaml.safe_load((tmp_path / "token.yaml").read_text()) == expected
    assert (tmp_path / "token.yaml").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token.yaml"]


def _is_another(file: Path, before: str) -> bool:
    return file.read_text() != before


async def test_the_bearer_token_comes_from_the_issuer_and_outlives_it(real_parts: RealParts, tmp_path: Path) -> None:
    import asyncio
    import base64

    client = real_parts.client
    client.secrets.identity.create_or_update_role(name="gateway", key="default", ttl="10m", client_id="orbital-gateway")
    client.write("identity/oidc/key/default", allowed_client_ids="*", algorithm="ES256")
    policy = 'path "identity/oidc/token/gateway" { capabilities = ["read"] }'
    client.sys.create_or_update_policy("bearer", policy)
    client.auth.approle.create_or_update_approle("bearer", token_policies=["bearer"])
    role, secret = tmp_path / "role", tmp_path / "secret"
    role.write_text(client.auth.approle.read_role_id("bearer")["data"]["role_id"])
    secret.write_text(client.auth.approle.generate_secret_id("bearer")["data"]["secret_id"])
    client.secrets.identity.create_or_update_entity(name="us20")
    target = tmp_path / "token.yaml"
    login = replace(real_parts.login, role_id_file=role, secret_id_file=secret)
    tokens, put = BaoTokens(login, "gateway"), partial(write_token, target)
    running = asyncio.ensure_future(keep_bearer(tokens, put, real_host(), Wakeup()))
    await until(target.exists, "the token")
    running.cancel()
    token = orjson.loads(target.read_text())["resources"][0]["generic_secret"]["secret"]["inline_string"]
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == "orbital-gateway"

    # A token of three seconds is renewed by itself; while the issuer refuses, the last one stays and more is tried.
    client.secrets.identity.create_or_update_role(name="gateway", key="default", ttl="3s", client_id="orbital-gateway")
    tries = list[float]()

    def counted() -> float:
        tries.append(0.0)
        return 0.0

    host = replace(real_host(), random=counted)
    running = asyncio.ensure_future(keep_bearer(tokens, put, host, Wakeup()))
    for what in ("its first token", "the next, before that one ends"):
        before = target.read_text()
        await until(partial(_is_another, target, before), what)
    right = secret.read_text()
    secret.write_text("wrong")
    await until(lambda: len(tries) >= 3, "it is tried again and again")
    before = target.read_text()
    secret.write_text(right)
    await until(lambda: target.read_text() != before, "a new token")
    assert not running.done()
    running.cancel()
