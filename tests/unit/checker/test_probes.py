"""What each probe makes of what it sees: injected clocks, disks, certificates and answers."""

import datetime as dt
import random
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
import yaml
from aiohttp import web

from checker.adapters.envoy.admin import open_admin
from checker.adapters.envoy.client import open_client
from checker.adapters.http.server import Pages, serve_pages
from checker.adapters.probes.certificates import CertificatesProbe
from checker.adapters.probes.clock import ClockProbe
from checker.adapters.probes.disk import DiskProbe
from checker.adapters.probes.edges import EdgesProbe
from checker.adapters.probes.opa import OpaProbe
from checker.adapters.probes.openbao import OpenBaoProbe
from checker.adapters.probes.region import RegionProbe
from checker.adapters.probes.table import ProbeClients, probes
from checker.domain.flag import Flag, Severity
from checker.domain.lanes import Limits
from checker.domain.sample import Sample, Status, healthy
from checker.domain.statistics import Latency
from checker.flow.probe import JITTER, SOON
from checker.ports.control import Host
from checker.ports.probe import SIDECAR_UNREACHABLE
from checker.settings import CheckerSettings
from runtime.errors import Unavailable

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_795_000_000.0
WORLD = Host(time.time, time.monotonic, random.random)


@asynccontextmanager
async def answering(socket, pages, headers=None):
    """An HTTP server on a Unix socket: path to (status, body)."""
    asked = []

    async def answer(request):
        asked.append(request.path_qs)
        status, body = pages.get(request.path, (404, {}))
        if isinstance(body, dict):
            return web.json_response(body, status=status, headers=headers)
        return web.Response(text=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
            yield session, asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("offset", "reason"),
    [(None, "CLOCK_UNKNOWN"), ((0.1, NOW), ""), ((5.0, NOW), "CLOCK_OFFSET"), ((0.0, NOW - 60), "CLOCK_UNKNOWN")],
)
async def test_clock(offset, reason):
    assert (await ClockProbe(lambda: offset, lambda: NOW, 2.0, 1.0).look()).reason == reason


@pytest.mark.parametrize(
    ("free", "status", "reason"),
    [(50, Status.HEALTHY, ""), (4, Status.DEGRADED, "DISK_LOW"), (0, Status.OUT_OF_SYNC, "DISK_FULL")],
)
async def test_disk(tmp_path, free, status, reason):
    found = await DiskProbe(tmp_path, 0.05, 0.01, 1.0, lambda _: (100, free)).look()
    assert (found.status, found.reason) == (status, reason)
    assert ("free_bytes", str(free)) in found.values


def edge(name, reason="", **more):
    return {"name": name, "status": "EDGE_STATUS_IN_FORCE", "revision": "1", "reason": reason, **more}


@pytest.mark.parametrize(
    ("edges", "reason", "told"),
    [
        ([], "", ""),
        ([edge("a"), edge("b")], "", ""),
        ([edge("a"), edge("b", "EDGE_DRIFT", message="b is late.")], "EDGE_DRIFT", "b is late."),
        ([edge("a", "EDGE_SILENT"), edge("b", "EDGE_BUNDLE_REFUSED")], "EDGE_BUNDLE_REFUSED", "Another 1 of 2"),
    ],
)
async def test_edges(tmp_path, edges, reason, told):
    async with open_client(tmp_path / "e.sock") as client:
        probe = EdgesProbe(client, 1.0, 0.5)
        async with answering(tmp_path / "e.sock", {"/edges": (200, {"edges": edges})}):
            found = await probe.look()
        with pytest.raises(Unavailable):
            await probe.look()
    assert found.reason == reason
    assert told in found.message
    assert found.status is (Status.DEGRADED if reason else Status.HEALTHY)


@pytest.mark.parametrize(
    ("hours", "reason"), [(24, ""), (1, "CERTIFICATE_EXPIRING"), (-1, "CERTIFICATE_EXPIRED"), (None, "")]
)
async def test_certificates(tmp_path, hours, reason):
    end = dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(hours=hours or 0)
    chain = {
        "subject_alt_names": [{"dns": "localhost"}, {"uri": "spiffe://orbital/region/eu10"}],
        "serial_number": "1",
        "expiration_time": end.isoformat().replace("+00:00", "Z"),
    }
    certificates = {"certificates": [] if hours is None else [{"cert_chain": [chain]}]}
    served = answering(tmp_path / "admin.sock", {"/certs": (200, certificates)})
    async with served, open_admin(tmp_path / "admin.sock") as admin, open_admin(tmp_path / "none.sock") as away:
        probe = CertificatesProbe(admin, [away], lambda: NOW, 2.0, 1.0)
        if hours is None:
            with pytest.raises(Unavailable):
                await probe.look()
            return
        found = await probe.look()
    assert found.reason == reason
    assert found.values[0][0] == "spiffe://orbital/region/eu10"


def quantiles(name, p50, p99):
    return {"name": name, "values": [{"interval": p50, "cumulative": 1}, {"interval": p99, "cumulative": 1}]}


HISTOGRAMS = {
    "histograms": {
        "supported_quantiles": [50, 99],
        "computed_quantiles": [
            quantiles("cluster.opa.upstream_rq_time", 7.0, 88.0),
            quantiles("cluster.opa.external.upstream_rq_time", 9.0, 99.0),
            quantiles("cluster.region.upstream_rq_time", None, None),
        ],
    }
}


async def test_a_sidecar_is_read_with_envoys_types_and_only_what_is_wanted(tmp_path):
    down = {"name": "region", "host_statuses": [{"health_status": {"failed_active_health_check": True}}]}
    pages = {
        "/server_info": (200, {"version": "abc/1.40.0/Clean/RELEASE/BoringSSL", "state": "LIVE"}),
        "/ready": (200, "LIVE"),
        "/clusters": (200, {"cluster_statuses": [down, {"name": "opa"}]}),
        "/stats": (200, {"stats": [{"name": "cluster.opa.upstream_cx_connect_fail", "value": 3}, HISTOGRAMS]}),
    }
    async with answering(tmp_path / "admin.sock", pages) as (_, asked), open_admin(tmp_path / "admin.sock") as admin:
        seen = await admin.snapshot()
        pages["/server_info"] = (200, {"version": "x", "state": "DRAINING"})
        with pytest.raises(Unavailable) as refused:
            await admin.snapshot()
    assert (seen.down, seen.version) == (("region",), "1.40.0")
    assert seen.latencies == {"opa": Latency(7.0, 88.0)}
    assert seen.statistics == {"cluster.opa.upstream_cx_connect_fail": 3}
    assert all("filter=" in path for path in asked if path.startswith("/stats"))
    assert refused.value.reason == "ENVOY_NOT_LIVE"


async def test_a_sidecar_that_is_away_is_unavailable(tmp_path):
    async with open_admin(tmp_path / "none.sock") as admin:
        with pytest.raises(Unavailable):
            await admin.snapshot()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"initialized": True, "sealed": False, "standby": False, "version": "2.7.2"}, ""),
        ({"initialized": True, "sealed": True, "standby": True, "version": "2.7.2"}, "OPENBAO_SEALED"),
        ({"initialized": True, "sealed": False, "standby": True, "version": "2.7.2"}, "OPENBAO_STANDBY"),
        ({"initialized": False, "sealed": True}, "OPENBAO_UNINITIALISED"),
        ({"initialized": True, "sealed": False, "standby": False, "version": "2.6.0"}, "OPENBAO_VERSION"),
        ({}, "OPENBAO_UNINITIALISED"),
    ],
)
async def test_openbao(tmp_path, said, reason):
    pages = {"/v1/sys/health": (200, said), "/v1/auth/token/lookup-self": (403, {})}
    async with answering(tmp_path / "bao.sock", pages), open_client(tmp_path / "bao.sock") as client:
        assert (await OpenBaoProbe(client, "2.7.2", None, 1.0, 1.0).look()).reason == reason


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([{"request": {"path": "sys/seal", "headers": {"x-orbital-correlation-id": ["c1"]}}}, {"request": {}}], "c1"),
        ([{"request": {"path": "sys/seal"}}], ""),
        ([{"request": {"path": "l2/keys"}}], ""),
        ([], ""),
        (None, ""),
    ],
)
async def test_a_seal_names_the_action_that_it_came_of(tmp_path, lines, wanted):
    log = tmp_path / "audit.jsonl"
    if lines is not None:
        log.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    said = {"initialized": True, "sealed": True, "standby": True, "version": "2.7.2"}
    async with answering(tmp_path / "b", {"/v1/sys/health": (200, said)}), open_client(tmp_path / "b") as client:
        found = await OpenBaoProbe(client, "", log, 1.0, 1.0).look()
    assert (found.reason, found.correlation_id) == ("OPENBAO_SEALED", wanted)


async def test_openbao_that_cannot_audit(tmp_path):
    healthy_bao = {"initialized": True, "sealed": False, "standby": False, "version": "2.7.2"}
    pages = {"/v1/sys/health": (200, healthy_bao), "/v1/auth/token/lookup-self": (500, {})}
    async with answering(tmp_path / "bao.sock", pages), open_client(tmp_path / "bao.sock") as client:
        probe = OpenBaoProbe(client, "", None, 1.0, 1.0)
        found = await probe.look()
        assert (found.status, found.reason) == (Status.OUT_OF_SYNC, "OPENBAO_AUDIT_FAILING")
        pages["/v1/auth/token/lookup-self"] = (403, {})
        assert (await probe.look()).status is Status.HEALTHY


async def test_what_envoy_cannot_reach_is_away_and_without_envoy_nothing_is_known(tmp_path):
    async with open_client(tmp_path / "none.sock") as client:
        with pytest.raises(Unavailable) as blind:
            await client.get("openbao", "/")
        with pytest.raises(Unavailable) as blind_too:
            await RegionProbe("region-bulk", client, Limits(60, 10, 4), 1.0, 1.0).look()
    assert {blind.value.reason, blind_too.value.reason} == {SIDECAR_UNREACHABLE}
    refusing = {"x-orbital-reason": "UPSTREAM_UNREACHABLE"}
    async with answering(tmp_path / "e.sock", {"/": (503, {})}, refusing), open_client(tmp_path / "e.sock") as client:
        with pytest.raises(Unavailable) as away:
            await client.get("openbao", "/")
    assert away.value.reason == Unavailable.default_reason


@pytest.mark.parametrize(
    ("health", "bundle", "reason"),
    [
        (200, {"active_revision": "r1"}, ""),
        (500, {}, "OPA_NOT_READY"),
        (200, {"active_revision": "r1", "code": "bundle_error", "message": "bad signature"}, "BUNDLE_ERROR"),
        (200, {"active_revision": "r1", "code": "bundle_error", "message": "request failed: refused"}, ""),
        (200, {"active_revision": "r1", "last_successful_request": "2026-01-01T00:00:00.123456789Z"}, "BUNDLE_STALE"),
    ],
)
async def test_opa(tmp_path, health, bundle, reason):
    status = {"result": {"labels": {"version": "1.15.2"}, "bundles": {"orbital": bundle}}}
    pages = {"/health": (health, {}), "/v1/status": (200, status)}
    async with answering(tmp_path / "opa.sock", pages), open_client(tmp_path / "opa.sock") as client:
        assert (await OpaProbe(client, "bulk", lambda: NOW, 1.0, 1.0).look()).reason == reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"plugins": {"status": {"state": "OK"}, "bundle": {"state": "ERROR"}}}, ""),
        ({"plugins": {"decision_logs": {"state": "ERROR"}}}, "OPA_STATUS_ERROR"),
        ({"decision_logs": {"code": "decision_log_error", "http_code": 403, "message": "no"}}, "DECISION_LOG_REFUSED"),
        ({"decision_logs": {"code": "decision_log_error", "message": "refused"}}, ""),
    ],
)
async def test_what_an_engine_says_of_its_own_parts(tmp_path, said, reason):
    pages = {"/health": (200, {}), "/v1/status": (200, {"result": said})}
    async with answering(tmp_path / "opa.sock", pages), open_client(tmp_path / "opa.sock") as client:
        assert (await OpaProbe(client, "bulk", lambda: NOW, 1.0, 1.0).look()).reason == reason


def test_every_probe_has_a_rule_and_every_rule_a_probe(tmp_path):
    settings = CheckerSettings(
        name="checker-eu10", region="eu10", listen=tmp_path / "s", disk=tmp_path,
        signing_file=tmp_path, outbox=tmp_path, providers=["hsm", "kms"],
        opa={"url": "http://b"}, envoy={"admin": tmp_path, "parts": tmp_path, "gateway": tmp_path},
    )  # fmt: skip
    table = [probe.about for probe in probes(settings, ProbeClients(None, None, None, None, WORLD, {"e": None}))]
    rules = yaml.safe_load((ROOT / "policies" / "data" / "probes.yaml").read_text())
    assert {about.name: about.component for about in table} == {name: one["component"] for name, one in rules.items()}
    assert all(about.depth in rules[about.name]["depths"] for about in table)
    # A second look, which comes soon, must not be refused as one too many.
    assert all(rules[about.name]["seconds"] <= SOON * (1 - JITTER) for about in table)


class FakeVerdict:
    def __init__(self):
        self.found = []
        self.up = True

    def alive(self):
        return self.up

    ready = heard = alive

    def flags(self):
        return self.found

    def history(self):
        return {"hsm": [Sample("hsm", NOW, healthy(("milliseconds", "2.0")))]}

    def versions(self):
        return {"hsm": "2.6"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(None, 200), (Status.DEGRADED, 200), (Status.OUT_OF_SYNC, 503), (Status.UNKNOWN, 503)],
)
async def test_pages_have_the_right_status_codes(tmp_path, status, code):
    verdict, socket = FakeVerdict(), tmp_path / "c.sock"
    if status:
        verdict.found = [Flag("hsm", status, Severity.WARNING, "AWAY", "Away.", (), NOW, NOW)]
    async with (
        serve_pages(socket, Pages("eu10", verdict)),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
    ):
        async with session.get("http://c/healthz") as answer:
            body = await answer.json()
            assert answer.status == code
            assert body["status"] == (status.name.lower() if status else "healthy")
        for up, expected in ((True, 200), (False, 503)):
            verdict.up = up
            for page in ("livez", "readyz"):
                async with session.get(f"http://c/{page}") as answer:
                    assert answer.status == expected
        async with session.get("http://c/checks") as answer:
            assert (await answer.json())["checks"]["hsm"][0]["status"] == "healthy"
        async with session.get("http://c/metrics") as answer:
            text = await answer.text()
    assert 'orbital_probe_seconds{region="eu10",component="hsm"} 0.0020' in text
    assert ('orbital_flag{region="eu10",component="hsm"' in text) == (status is not None)
