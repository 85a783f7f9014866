"""The same suite on parts in memory and on a real OpenBao with a real SoftHSM, both started here."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest
import requests

from region.adapters.edge.store import open_edge_store
from region.adapters.hsm.process import open_hsm
from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.transit import BaoTransit
from region.handlers.parts import Parts
from region.ports.host import real_host
from runtime.openbao import Login, open_openbao
from stack.acquire import path as binary
from stack.openbao.region import POLICY, permit_changes
from tests.unit.region.fakes import FakeCache, fake_parts

PIN = "246810"  # of a token that lives as long as the test


@dataclass(frozen=True)
class RealParts:
    """Where the real ones are."""

    login: Login
    client: hvac.Client
    library: Path
    conf: Path

    @property
    def pin_file(self) -> Path:
        """The token's user PIN."""
        return self.conf.with_name("pin")


def _openbao(place: Path) -> Iterator[tuple[str, hvac.Client]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = secrets.token_hex(16)
    environment = {**os.environ, "BAO_DEV_ROOT_TOKEN_ID": root, "HOME": str(place)}
    command = [str(binary("openbao")), "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={place}"]
    command += ["-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{port}"]
    with (place / "openbao.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        ca = next(_wait_for(place, "*ca.pem"))
        session = requests.Session()
        session.trust_env = False
        session.verify = str(ca)
        address = f"https://127.0.0.1:{port}"
        client = hvac.Client(url=address, token=root, session=session)
        deadline = time.monotonic() + 20
        while True:
            try:
                client.sys.read_health_status(method="GET")
                break
            except requests.RequestException:
                assert time.monotonic() < deadline, (place / "openbao.log").read_text()
                time.sleep(0.05)
        yield str(ca), client
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(place: Path, pattern: str) -> Iterator[Path]:
    deadline = time.monotonic() + 20
    while not (found := sorted(place.glob(pattern))):
        assert time.monotonic() < deadline, f"no {pattern} in {place}"
        time.sleep(0.05)
    yield from found


def _set_up(client: hvac.Client, place: Path, ca: str) -> Login:
    client.sys.enable_secrets_engine("transit", path="l2")
    client.sys.enable_secrets_engine("transit", path="signing")
    client.sys.enable_secrets_engine("kv", path="keys", options={"version": "2"})
    deadline = time.monotonic() + 10
    while True:
        try:
            client.secrets.kv.v2.configure(max_versions=1, cas_required=True, mount_point="keys")
            break
        except hvac.exceptions.InvalidRequest:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    client.sys.create_or_update_policy("region", POLICY)
    permit_changes(client)
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("region", token_policies=["region"], token_ttl="1h")
    role, secret = place / "role-id", place / "secret-id"
    role.write_text(client.auth.approle.read_role_id("region")["data"]["role_id"])
    secret.write_text(client.auth.approle.generate_secret_id("region")["data"]["secret_id"])
    return Login(client.url, Path(ca), role, secret)


def _softhsm(place: Path) -> tuple[Path, Path]:
    library = next(binary("softhsm").glob("usr/lib/**/libsofthsm2.so"))
    (place / "tokens").mkdir()
    conf = place / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {place}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    for name in ("pin", "officer-pin"):
        (place / name).write_text(PIN)
    command = [sys.executable, "-m", "stack.hsm", "make", "--library", str(library), "--token", "test"]
    command += ["--officer-pin-file", str(place / "officer-pin"), "--pin-file", str(place / "pin")]
    command += ["--wrapped", str(place / "wrapped")]
    subprocess.run(command, env={**os.environ, "SOFTHSM2_CONF": str(conf)}, check=True, timeout=60)
    return library, conf


@pytest.fixture(scope="session")
def real_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealParts]:
    place = tmp_path_factory.mktemp("region")
    library, conf = _softhsm(place)
    for ca, client in _openbao(place):
        yield RealParts(_set_up(client, place, ca), client, library, conf)


@pytest.fixture(params=["fake", "real"])
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[Parts]:
    if request.param == "fake":
        yield fake_parts()
        return
    where: RealParts = request.getfixturevalue("real_parts")
    async with AsyncExitStack() as stack:
        host = real_host()
        openbao = await stack.enter_async_context(open_openbao(where.login))
        hsm = await stack.enter_async_context(
            open_hsm(where.library, "test", where.pin_file, where.conf, host, generate_missing=True)
        )
        edges = await stack.enter_async_context(open_edge_store(where.conf.with_name("edge.db")))
        transit, permits = BaoTransit(openbao, "l2", host), BaoPermits(openbao)
        yield Parts(KvStore(openbao, "keys"), transit, hsm, FakeCache(), host, edges, permits)


@pytest.fixture
def tenant() -> str:
    return "t" + secrets.token_hex(6)
