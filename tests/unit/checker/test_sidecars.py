"""The sidecars of edges: each is looked at, and none hides another."""

import asyncio
import datetime as dt
import time
from contextlib import AsyncExitStack

import pytest

from checker.adapters.envoy.admin import open_admin
from checker.adapters.probes.certificates import CertificatesProbe
from checker.adapters.probes.envoy import EdgeSidecarsProbe
from checker.domain.sample import Status
from tests.unit.checker.test_probes import NOW, answering


def sidecar(hours=24, failures=0, state="LIVE", down=""):
    """The pages of one that has counted so many failed connections to its region, and has a certificate so long."""
    hosts = [{"health_status": {"failed_active_health_check": True}}] if down else []
    end = dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(hours=hours)
    chain = {"subject_alt_names": [{"uri": "spiffe://orbital/edge/eu10/e"}], "expiration_time": f"{end:%FT%TZ}"}
    return {
        "/server_info": (200, {"version": "abc/1.40.0/Clean/RELEASE/BoringSSL", "state": state}),
        "/ready": (200, "LIVE"),
        "/clusters": (200, {"cluster_statuses": [{"name": down, "host_statuses": hosts}]}),
        "/stats": (200, {"stats": [{"name": "cluster.region.upstream_cx_connect_fail", "value": failures}]}),
        "/certs": (200, {"certificates": [{"cert_chain": [chain]}]}),
    }


async def seen(tmp_path, first, then):
    """What the second look finds at edges `a`, which is well, and `b`, which answers `first` and `then`."""
    async with AsyncExitStack() as stack:
        admins = {name: await stack.enter_async_context(open_admin(tmp_path / name)) for name in ("a", "b")}
        await stack.enter_async_context(answering(tmp_path / "a", sidecar()))
        pages = dict(first)
        await stack.enter_async_context(answering(tmp_path / "b", pages))
        probe = EdgeSidecarsProbe(admins, 0.5, 1.0, 1.0)
        assert (await probe.look()).status is Status.HEALTHY
        pages.clear()
        pages.update(then)
        return await probe.look()


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (sidecar(), ""),
        (sidecar(failures=3), "REGION_CONNECT_FAILED"),
        (sidecar(state="DRAINING"), "EDGE_SIDECAR_UNREACHABLE"),
        ({}, "EDGE_SIDECAR_UNREACHABLE"),
    ],
)
async def test_one_edges_trouble_is_told_by_its_name_and_leaves_the_region_degraded(tmp_path, then, reason):
    found = await seen(tmp_path, sidecar(), then)
    assert (found.status, found.reason) == (Status.DEGRADED if reason else Status.HEALTHY, reason)
    assert found.message.startswith("b: " if reason else "")
    assert {name.split()[0] for name, _value in found.values} == {"b" if reason else "sidecars"}
    assert found.version == "1.40.0"


async def test_one_that_is_away_names_the_flag_and_hides_no_other(tmp_path):
    async with AsyncExitStack() as stack:
        admins = {name: await stack.enter_async_context(open_admin(tmp_path / name)) for name in ("a", "b")}
        await stack.enter_async_context(answering(tmp_path / "a", sidecar(down="region")))
        found = await EdgeSidecarsProbe(admins, 0.5, 1.0, 1.0).look()
    assert found.reason == "EDGE_SIDECAR_UNREACHABLE"
    assert found.message.startswith("b: ")
    assert found.message.endswith("Another 1 of 2 are not as they should be.")


async def test_one_that_hangs_is_given_up_in_time_for_the_others(tmp_path):
    async with open_admin(tmp_path / "none") as admin, open_admin(tmp_path / "a") as well:

        async def hang():
            await asyncio.sleep(60)

        admin.snapshot = hang
        async with answering(tmp_path / "a", sidecar()):
            began = time.monotonic()
            found = await EdgeSidecarsProbe({"a": well, "b": admin}, 0.5, 1.0, 0.4).look()
    assert time.monotonic() - began < 0.4
    assert found.reason == "EDGE_SIDECAR_UNREACHABLE"


async def test_their_certificates_are_looked_at_with_the_regions_own(tmp_path):
    async with AsyncExitStack() as stack:
        own, edge, away = [
            await stack.enter_async_context(open_admin(tmp_path / name)) for name in ("own", "edge", "away")
        ]
        await stack.enter_async_context(answering(tmp_path / "own", sidecar(hours=24)))
        await stack.enter_async_context(answering(tmp_path / "edge", sidecar(hours=1)))
        found = await CertificatesProbe(own, [edge, away], lambda: NOW, 2.0, 1.0).look()
    assert (found.status, found.reason) == (Status.DEGRADED, "CERTIFICATE_EXPIRING")
