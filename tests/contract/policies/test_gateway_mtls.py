"""The gateway's mTLS listener: who comes in, and what reaches the processes behind it."""

from __future__ import annotations

import threading

import grpc
import pytest
from orbital.v1 import dispatch_pb2, dispatch_pb2_grpc, registry_pb2, registry_pb2_grpc, report_pb2, report_pb2_grpc

from tests.contract.policies.calls import TIMEOUT, outcome, raw, reason, refusal


def test_operator_passes_and_is_named(site):
    with site.channel("mtls", "operator") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        stub.ListRegions(
            registry_pb2.ListRegionsRequest(),
            timeout=TIMEOUT,
            metadata=(("x-orbital-principal", "spiffe://orbital/region/us20"), ("x-orbital-decision", "forged")),
        )
    seen = site.echoes["gateway-bulk"].seen[-1]
    assert seen.metadata["x-orbital-principal"] == "spiffe://orbital/person/operator"
    assert len(seen.metadata["x-orbital-decision"]) == 36


def test_kill_goes_to_the_immediate_process(site):
    with site.channel("mtls", "operator") as channel:
        registry_pb2_grpc.RegistryServiceStub(channel).Kill(registry_pb2.KillRequest(tenant="acme"), timeout=TIMEOUT)
    assert site.echoes["gateway-immediate"].seen[-1].method.endswith("/Kill")


def test_auditor_reads_and_changes_nothing(site):
    with site.channel("mtls", "auditor") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        stub.ListTasks(registry_pb2.ListTasksRequest(), timeout=TIMEOUT)
        error = refusal(lambda: stub.Kill(registry_pb2.KillRequest(tenant="acme"), timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(error) == "ROLE_MISSING"
    assert "operator" in error.details()


@pytest.mark.parametrize("uri", ["", "spiffe://elsewhere/person/operator"])
def test_no_or_foreign_certificate_is_refused(site, uri):
    before = len(site.echoes["gateway-bulk"].seen)
    with site.channel("mtls", None, uri) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        error = refusal(lambda: stub.ListRegions(registry_pb2.ListRegionsRequest(), timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert len(site.echoes["gateway-bulk"].seen) == before


def test_region_reports_for_itself_and_for_nobody_else(site):
    with site.channel("mtls", "eu10") as channel:
        stub = report_pb2_grpc.ReportServiceStub(channel)
        stub.Report(report_pb2.ReportRequest(region="eu10"), timeout=TIMEOUT)
        error = refusal(lambda: stub.Report(report_pb2.ReportRequest(region="us20"), timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(error) == "REGION_MISMATCH"
    assert error.details() == 'Region eu10 may speak only for itself, not for "us20".'


def test_compressed_report_cannot_be_judged_and_is_refused(site):
    with site.channel("mtls", "eu10") as channel:
        stub = report_pb2_grpc.ReportServiceStub(channel)
        request = report_pb2.ReportRequest(region="eu10", signed={"content": b"x" * 5000})
        error = refusal(lambda: stub.Report(request, timeout=TIMEOUT, compression=grpc.Compression.Gzip))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(("lane", "name"), [("0", "gateway-immediate"), ("1", "gateway-bulk"), ("2", "gateway-bulk")])
def test_stream_is_routed_by_lane_and_not_buffered(site, lane, name):
    answered = threading.Event()

    def requests():
        yield dispatch_pb2.SubscribeRequest(open={"region": "eu10", "lane": int(lane), "credit": 1})
        answered.wait(TIMEOUT)

    with site.channel("mtls", "eu10") as channel:
        metadata = (("x-orbital-region", "eu10"), ("x-orbital-lane", lane))
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(requests(), metadata=metadata, timeout=TIMEOUT)
        next(call)
        answered.set()
    assert site.echoes[name].seen[-1].metadata["x-orbital-lane"] == lane
    assert site.echoes[name].seen[-1].metadata["x-orbital-principal"] == "spiffe://orbital/region/eu10"


@pytest.mark.parametrize(("name", "region"), [("eu10", "us20"), ("eu10", ""), ("operator", "eu10")])
def test_stream_of_another_is_refused(site, name, region):
    metadata = (("x-orbital-region", region), ("x-orbital-lane", "1")) if region else ()
    with site.channel("mtls", name) as channel:
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(iter(()), metadata=metadata, timeout=TIMEOUT)
        error = refusal(lambda: next(call))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


def test_malformed_body_is_an_invalid_argument(site):
    with site.channel("mtls", "operator") as channel:
        error = refusal(lambda: raw(channel, "/orbital.v1.RegistryService/Declare", b"\xff\xff\xff\xff"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("request: ")
    assert reason(error) == "MALFORMED"


def test_unknown_field_is_left_to_the_process(site):
    with site.channel("mtls", "operator") as channel:
        raw(channel, "/orbital.v1.RegistryService/Declare", b"\xf8\x07\x01")
    assert site.echoes["gateway-bulk"].seen[-1].body == b"\xf8\x07\x01"


def test_unknown_method_is_refused(site):
    with site.channel("mtls", "operator") as channel:
        error = refusal(lambda: raw(channel, "/orbital.v1.RegistryService/Drop", b""))
    assert outcome(error) == (grpc.StatusCode.PERMISSION_DENIED, "UNKNOWN_METHOD")


def test_large_body_passes_and_an_oversized_one_is_an_invalid_argument(site):
    with site.channel("mtls", "operator") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        resources = [{"name": f"tenants/{n}", "labels": {"note": "x" * 600}} for n in range(5000)]
        stub.Declare(registry_pb2.DeclareRequest(resources=resources), timeout=TIMEOUT)
        more = registry_pb2.DeclareRequest(resources=resources * 2)
        error = refusal(lambda: stub.Declare(more, timeout=TIMEOUT))
    assert outcome(error) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert "4 MiB" in error.details()
