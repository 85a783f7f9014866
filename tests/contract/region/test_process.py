"""A region's process, started as it is in production, against a real OpenBao and SoftHSM."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from orbital.v1 import crypto_pb2, crypto_pb2_grpc
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb
from orbital.v1.signed_pb2 import Signed

from runtime.rpc import from_rpc_error
from runtime.signatures import TASKS
from tests.contract.region.conftest import PIN, RealParts
from tests.contract.region.gateway import Engine, Gateway, until
from tests.unit.region.make import Estate, task
from tests.unit.runtime.keys import Keys


class Region:
    """The process and what it is told."""

    def __init__(self, place: Path, run: Path, where: RealParts, gateway: Gateway, engine: Engine) -> None:
        self.gateway, self.engine, self.place = gateway, engine, place
        self.socket = run / "crypto.sock"
        (place / "pin").write_text(PIN)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ORBITAL_")},
            "ORBITAL_NAME": "region-eu10",
            "ORBITAL_REGION": "eu10",
            "ORBITAL_LANES": "[0,1,2]",
            "ORBITAL_GATEWAY": f"unix:{run}/gateway.sock",
            "ORBITAL_LISTEN": f"unix:{self.socket}",
            "ORBITAL_JOURNAL": str(place / "journal.db"),
            "ORBITAL_EDGE__STORE": str(place / "edge.db"),
            "ORBITAL_READY_FILE": str(place / "ready"),
            "ORBITAL_OPA__URL": engine.url,
            "ORBITAL_SIGNING_FILE": str(place / "eu10.signing.json"),
            "ORBITAL_OPENBAO__ADDRESS": where.login.address,
            "ORBITAL_OPENBAO__CA_FILE": str(where.login.ca_file),
            "ORBITAL_OPENBAO__ROLE_ID_FILE": str(where.login.role_id_file),
            "ORBITAL_OPENBAO__SECRET_ID_FILE": str(where.login.secret_id_file),
            "ORBITAL_HSM__LIBRARY": str(where.library),
            "ORBITAL_HSM__TOKEN": "test",
            "ORBITAL_HSM__PIN_FILE": str(place / "pin"),
            "ORBITAL_HSM__CONF": str(where.conf),
            "ORBITAL_HSM__GENERATE_MISSING": "true",
            "ORBITAL_STREAM__BEAT": "0.4",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.place / "log").open("ab") as log:
            command = [sys.executable, "-m", "region.main"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(10)

    async def ready(self) -> None:
        await until((self.place / "ready").exists, "ready")

    async def reported(self, *tasks: pb.Task, outcome: str = "DONE") -> None:
        def missing() -> list[str]:
            return [each.resource.name for each in tasks if self.gateway.outcome(each) != outcome]

        try:
            await until(lambda: not missing(), outcome, 60)
        except AssertionError:
            pytest.fail(f"not {outcome}: {missing()}\n" + (self.place / "log").read_text()[-5000:])


@pytest.fixture
async def region(real_parts: RealParts, tmp_path: Path) -> AsyncIterator[Region]:
    keys = Keys.make(tmp_path)
    gateway, engine = Gateway(keys), Engine(keys)
    # The journal is new, and so must OpenBao be: beside the mark of an earlier process it would have gone back.
    real_parts.client.secrets.kv.v2.delete_metadata_and_all_versions("marks/0", mount_point="keys")
    # A Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="orbital-") as run:
        async with engine.serving(), gateway.serving(Path(run) / "gateway.sock"):
            process = Region(tmp_path, Path(run), real_parts, gateway, engine)
            process.start()
            await process.ready()
            yield process
            if process.process and process.process.poll() is None:
                process.end(signal.SIGTERM)


async def test_from_the_stream_to_the_key_and_back(region: Region, tenant: str) -> None:
    estate, gateway = Estate(tenant), region.gateway
    tasks = [*estate.foundation(), estate.link()]
    delivery = gateway.deliver(1, tasks)
    await region.reported(*tasks)
    assert gateway.acknowledged[1][-1] == delivery
    assert gateway.enrolled == ["region-eu10"]
    labelled = rpb.Resource(name=f"tenants/{tenant}/systems/core", generation=2, labels={"a": "b"})
    labelled.system.key_version = 1
    metadata = task(pb.TASK_KIND_SYNC_METADATA, labelled)
    gateway.deliver(2, [metadata])
    await region.reported(metadata)
    async with grpc.aio.insecure_channel(f"unix:{region.socket}") as channel:
        crypto = crypto_pb2_grpc.CryptoServiceStub(channel)
        where = {"tenant": tenant, "system": "core", "service": "pay"}
        sealed = await crypto.Wrap(crypto_pb2.WrapRequest(**where, plaintext=b"L4"))
        opened = await crypto.Unwrap(crypto_pb2.UnwrapRequest(**where, ciphertext=sealed.ciphertext))
        assert opened.plaintext == b"L4"
        revocation = estate.unlink(2)
        gateway.deliver(0, [revocation])
        await region.reported(revocation)
        with pytest.raises(grpc.RpcError) as refused:
            await crypto.Unwrap(crypto_pb2.UnwrapRequest(**where, ciphertext=sealed.ciphertext))
        assert from_rpc_error(refused.value).reason == "KEY_REVOKED"
        with pytest.raises(grpc.RpcError) as wrong:
            await crypto.Wrap(crypto_pb2.WrapRequest(**where))
        assert from_rpc_error(wrong.value).field == "plaintext"
    assert region.end(signal.SIGTERM) == 0
    assert "L4" not in (region.place / "log").read_text()


async def test_a_killed_process_finishes_what_it_journaled(region: Region) -> None:
    estates = [Estate("t" + secrets.token_hex(6)) for _ in range(20)]
    tasks = [each for estate in estates for each in (*estate.foundation(), estate.link())]
    for first in range(0, len(tasks), 16):
        region.gateway.deliver(1, tasks[first : first + 16])
    for count in (5, 25):
        await until(lambda enough=count: len(region.gateway.reports) >= enough, "some reports")  # type: ignore[misc]
        region.end(signal.SIGKILL)
        region.start()
    # What was delivered and not acknowledged is delivered again; so is everything else, to be sure.
    for first in range(0, len(tasks), 16):
        region.gateway.deliver(1, tasks[first : first + 16])
    await region.reported(*tasks)


async def test_what_cannot_be_read_is_rejected_once_with_its_reason(region: Region, tenant: str) -> None:
    gateway, estate = region.gateway, Estate(tenant)
    foreign = gateway.packed("us20", 1, [estate.define_tenant()])
    lower = gateway.packed("eu10", 2, [estate.define_tenant()])
    signed = Signed.FromString(gateway.packed("eu10", 1, [estate.define_tenant()]))
    altered = Signed(key_id=signed.key_id, signature=signed.signature, content=signed.content[:-1] + b"x")
    by_region = gateway.keys.region.sign(TASKS, signed.content)
    unknown = Signed(key_id="0" * 16, signature=signed.signature, content=signed.content)
    bodies = [altered, Signed(content=signed.content), by_region, unknown]
    bad = [gateway.deliver_raw(1, each) for each in (b"\xff\xff", foreign, lower)]
    bad += [gateway.deliver_raw(1, each.SerializeToString()) for each in bodies]
    good = estate.define_tenant()
    last = gateway.deliver(1, [good])
    await region.reported(good)
    assert [(each.delivery_id, each.reason.split(":")[0]) for each in gateway.rejected] == [
        (bad[0], "MALFORMED"),
        (bad[1], "WRONG_REGION"),
        (bad[2], "WRONG_LANE"),
        (bad[3], "FORGED"),
        (bad[4], "UNSIGNED"),
        (bad[5], "WRONG_SIGNER"),
        (bad[6], "UNKNOWN_KEY"),
    ]
    await until(lambda: gateway.acknowledged.get(1, [0])[-1] == last, "the acknowledgement")


async def test_denied_tasks_say_why_and_an_absent_engine_stops_everything(region: Region, tenant: str) -> None:
    gateway, engine, estate = region.gateway, region.engine, Estate(tenant)
    allowed, denied = estate.define_tenant(), Estate(tenant + "x").define_tenant()
    engine.denied.add(denied.id)
    gateway.deliver(1, [allowed, denied])
    await region.reported(allowed)
    await region.reported(denied, outcome="DENIED")
    report = next(each for each in gateway.reports if each.task_id == denied.id)
    assert (report.reason, report.decision_id) == ("NOT_HERE", "d1")
    engine.up = False
    later = estate.system()
    delivery = gateway.deliver(1, [later])
    await until(lambda: gateway.acknowledged[1][-1] == delivery, "the acknowledgement")
    assert gateway.outcome(later) == ""
    engine.up = True
    await region.reported(later)


async def test_a_silent_or_expired_stream_is_opened_again(region: Region, tenant: str) -> None:
    gateway = region.gateway
    await until(lambda: {0, 1, 2} <= set(gateway.opened), "all lanes")
    gateway.heartbeats, gateway.life = False, 1.5
    before = len(gateway.opened)
    await until(lambda: len(gateway.opened) >= before + 3, "new streams")
    gateway.heartbeats = True
    before = len(gateway.opened)
    await until(lambda: len(gateway.opened) >= before + 6, "streams that expire")
    tasks = Estate(tenant).foundation()
    for each in tasks:
        gateway.deliver(1, [each])
    await region.reported(*tasks)


async def test_reports_that_were_not_accepted_come_again(region: Region, tenant: str) -> None:
    gateway, estate = region.gateway, Estate(tenant)
    gateway.accept = False
    tasks = estate.foundation()
    delivery = gateway.deliver(1, tasks)
    await until(lambda: gateway.acknowledged.get(1, [0])[-1] == delivery, "the acknowledgement")
    gateway.accept = True
    region.end(signal.SIGTERM)
    region.start()
    await region.reported(*tasks)
    # A task that was reported already is reported again when it is delivered again.
    gateway.reports.clear()
    gateway.deliver(1, tasks)
    await region.reported(*tasks)
