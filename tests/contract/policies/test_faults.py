"""What is seen when something behind or between the Envoys stops, hangs or is forged."""

import json
import shutil
import threading
import time

import grpc
import pytest
from orbital.v1 import dispatch_pb2, dispatch_pb2_grpc, registry_pb2, registry_pb2_grpc

from runtime.bundle import build_bundle
from stack.acquire import path as binary
from tests.contract.policies.calls import TIMEOUT, outcome, raw, refusal
from tests.contract.policies.conftest import ROOT, Engine, until

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def list_regions(site, name="auditor"):
    with site.channel("mtls", name) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        stub.ListRegions(registry_pb2.ListRegionsRequest(), timeout=TIMEOUT)
    return True


def test_frozen_engine_lets_nothing_pass(site):
    list_regions(site)
    before = len(site.echoes["gateway-bulk"].seen)
    with site.engines["opa-gateway-immediate"].frozen():
        error = refusal(lambda: list_regions(site))
    assert outcome(error) == (UNAVAILABLE, "POLICY_ENGINE_UNAVAILABLE")
    assert len(site.echoes["gateway-bulk"].seen) == before
    until(lambda: list_regions(site), "calls passing again")


def test_engine_without_a_bundle_gives_envoy_no_decision(site):
    engine = Engine(site, "opa-gateway-empty", "gateway", "global", bundles_port=1)
    engine.start()
    try:
        until(lambda: engine.ask("GET", "/health")[0] == 200, "health")
        with grpc.insecure_channel(f"unix:{site.run}/opa-gateway-empty-authz.sock") as channel:
            error = refusal(lambda: raw(channel, "/envoy.service.auth.v3.Authorization/Check", b""))
        assert "undefined decision" in error.details()
    finally:
        engine.kill()


def test_silent_path_is_noticed_within_ten_seconds(site):
    def requests():
        yield dispatch_pb2.SubscribeRequest()
        ended.wait(30)

    ended = threading.Event()
    metadata = (("x-orbital-region", "eu10"), ("x-orbital-lane", "0"))
    with site.region("eu10") as channel:
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(requests(), metadata=metadata, timeout=30)
        next(call)
        with site.envoys["envoy-gateway"].frozen():
            began = time.monotonic()
            error = refusal(lambda: next(call))
            waited = time.monotonic() - began
        ended.set()
    # Envoy can only reset a stream that has answered already, which gRPC calls INTERNAL.
    assert error.code() in {UNAVAILABLE, grpc.StatusCode.INTERNAL}
    assert waited < 10


def test_process_that_is_away_is_named(site):
    site.echoes["region-us20-immediate"].stop()
    with site.channel("us20-crypto", "operator") as channel:
        error = refusal(lambda: raw(channel, "/orbital.v1.CryptoService/Wrap", b""))
    assert outcome(error) == (UNAVAILABLE, "REGION_UNAVAILABLE")


@pytest.fixture
def changed(site, tmp_path):
    """The policies without the auditor; the bundle that was served before is served again afterwards."""
    policies = shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (policies / "data" / "roles.yaml").write_text("spiffe://orbital/person/operator: [operator, crypto]\n")
    shutil.copyfile(site.bundle.path, tmp_path / "before.tar.gz")
    yield policies
    shutil.copyfile(tmp_path / "before.tar.gz", tmp_path / "again.tar.gz")
    (tmp_path / "again.tar.gz").replace(site.bundle.path)
    until(lambda: list_regions(site), "the first bundle in force again")


def test_forged_bundle_is_refused_and_a_signed_one_taken(site, changed, tmp_path):
    engine = site.engines["opa-gateway-immediate"]
    forged = build_bundle(binary("opa"), changed, tmp_path / "stranger", tmp_path / "forged.tar.gz", {}, {})
    forged.path.replace(site.bundle.path)

    def status():
        return json.loads(engine.ask("GET", "/v1/status")[1])["result"]["bundles"]["orbital"]

    until(lambda: status().get("code") == "bundle_error", "the forged bundle being refused")
    assert status()["active_revision"] == site.bundle.revision
    list_regions(site)
    signed = build_bundle(binary("opa"), changed, site.place / "keys", tmp_path / "signed.tar.gz", {}, {})
    signed.path.replace(site.bundle.path)
    until(lambda: status()["active_revision"] == signed.revision, "the new bundle in force")
    assert outcome(refusal(lambda: list_regions(site))) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
