"""A region's Envoy: outwards with the region's identity, inwards only for whom a key belongs to."""

from __future__ import annotations

import http.client
import json
import threading

import grpc
import pytest
from orbital.v1 import (
    crypto_pb2,
    crypto_pb2_grpc,
    dispatch_pb2,
    dispatch_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)

from tests.contract.policies.calls import TIMEOUT, outcome, raw, refusal
from tests.contract.policies.conftest import token_of, until

DENIED = grpc.StatusCode.PERMISSION_DENIED
WORKLOAD = "spiffe://orbital/workload/acme/core/billing"


@pytest.mark.parametrize("region", ["eu10", "us20"])
def test_region_reaches_the_gateway_as_itself(site, region):
    with site.region(region) as channel:
        stub = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
        stub.Enrol(enrolment_pb2.EnrolRequest(region=region), timeout=TIMEOUT)
    assert site.echoes["gateway-bulk"].seen[-1].metadata["x-orbital-principal"] == f"spiffe://orbital/region/{region}"


@pytest.mark.parametrize("region", ["eu10", "us20"])
def test_stream_of_a_region_is_open_both_ways(site, region):
    answered = threading.Event()

    def requests():
        yield dispatch_pb2.SubscribeRequest(open={"region": region, "credit": 1})
        answered.wait(TIMEOUT)

    metadata = (("x-orbital-region", region), ("x-orbital-lane", "0"))
    with site.region(region) as channel:
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(requests(), metadata=metadata, timeout=TIMEOUT)
        next(call)
        answered.set()
    seen = site.echoes["gateway-immediate"].seen[-1]
    assert seen.metadata["x-orbital-principal"] == f"spiffe://orbital/region/{region}"


def test_denial_reaches_the_region_with_its_reason(site):
    with site.region("us20") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        error = refusal(lambda: stub.ListRegions(registry_pb2.ListRegionsRequest(), timeout=TIMEOUT))
    assert outcome(error) == (DENIED, "ROLE_MISSING")


def test_new_token_is_taken_without_a_restart(site):
    stub_of = enrolment_pb2_grpc.EnrolmentServiceStub
    request = enrolment_pb2.EnrolRequest(region="us20")

    def passes():
        with site.region("us20") as channel:
            stub_of(channel).Enrol(request, timeout=TIMEOUT)
        return True

    def refused():
        try:
            return not passes()
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.UNAUTHENTICATED

    site.give_token("us20", site.issuer.token("us20", seconds=-60))
    until(refused, "the expired token in force")
    site.give_token("us20", site.issuer.token("us20"))
    until(passes, "the new token in force")


def test_new_certificate_is_taken_without_dropping_a_stream(site):
    answers = threading.Semaphore(0)

    def requests():
        for _ in range(2):
            yield dispatch_pb2.SubscribeRequest()
            answers.acquire(timeout=TIMEOUT)

    metadata = (("x-orbital-region", "eu10"), ("x-orbital-lane", "1"))
    with site.region("eu10") as channel:
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(requests(), metadata=metadata, timeout=TIMEOUT)
        next(call)
        site.authority.write(site.identity("eu10"), "spiffe://orbital/region/eu10")
        site.authority.write(site.identity("gateway"), "spiffe://orbital/gateway")
        answers.release()
        next(call)
        answers.release()


def crypto(site, name, uri="", **where):
    scope = {"tenant": "acme", "system": "core", "service": "billing"} | where
    with site.channel("eu10-crypto", name, uri) as channel:
        stub = crypto_pb2_grpc.CryptoServiceStub(channel)
        stub.Wrap(crypto_pb2.WrapRequest(plaintext=b"PLAINTEXT-KEY", **scope), timeout=TIMEOUT)


def test_operator_and_the_workload_itself_may_wrap(site):
    crypto(site, "operator")
    crypto(site, None, WORKLOAD)
    assert site.echoes["region-eu10-immediate"].seen[-1].metadata["x-orbital-principal"] == WORKLOAD


@pytest.mark.parametrize(
    ("name", "uri", "where", "reason"),
    [
        ("auditor", "", {}, "ROLE_MISSING"),
        ("eu10", "", {}, "ROLE_MISSING"),
        (None, WORKLOAD, {"service": "other"}, "WORKLOAD_MISMATCH"),
        (None, WORKLOAD, {"tenant": "", "system": "acme/core"}, "WORKLOAD_MISMATCH"),
        (None, WORKLOAD + "/more", {}, "ROLE_MISSING"),
    ],
)
def test_nobody_else_may_wrap(site, name, uri, where, reason):
    before = len(site.echoes["region-eu10-immediate"].seen)
    assert outcome(refusal(lambda: crypto(site, name, uri, **where))) == (DENIED, reason)
    assert len(site.echoes["region-eu10-immediate"].seen) == before


def test_region_takes_no_call_without_a_certificate(site):
    assert refusal(lambda: crypto(site, None)).code() == grpc.StatusCode.UNAVAILABLE


def test_malformed_and_oversized_wraps_are_invalid(site):
    with site.channel("eu10-crypto", "operator") as channel:
        malformed = refusal(lambda: raw(channel, "/orbital.v1.CryptoService/Wrap", b"\xff\xff\xff"))
        oversized = refusal(lambda: raw(channel, "/orbital.v1.CryptoService/Wrap", b"\x22\x80\x80\x20" + b"x" * 524288))
    assert outcome(malformed) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")
    assert outcome(oversized) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert "256 KiB" in oversized.details()


def test_every_decision_is_kept_and_nothing_secret_with_it(site):
    refusal(lambda: crypto(site, None, WORKLOAD, service="told-apart"))

    def logged():
        # The upstream may be in the middle of its last line.
        whole, _, _ = (site.place / "posted").read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if line["path"] == "/logs/opa-eu10-immediate"]

    until(lambda: "WORKLOAD_MISMATCH" in json.dumps(logged()), "the denial at the gateway")
    events = [event for line in logged() for event in line["body"]]
    assert all(line["principal"] == "spiffe://orbital/region/eu10" for line in logged())
    # An event without a result: somebody asked for what there is not.
    assert {event["result"].get("allowed") for event in events if "result" in event} >= {True, False}
    kept = json.dumps(events)
    assert "told-apart" not in kept
    assert "UExBSU5URVhU" not in kept
    assert "PLAINTEXT" not in kept


OWN, OTHER = token_of("opa-eu10-immediate"), token_of("opa-eu10-bulk")


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/bundles/orbital.tar.gz", "", 200),
        ("POST", "/logs/opa-eu10-immediate", OWN, 200),
        ("POST", "/status/opa-eu10-immediate", OWN, 200),
        # Any account of the machine reaches this port.
        *(
            ("POST", f"/{kind}/{engine}", token, 404)
            for kind in ("logs", "status")
            for engine, token in (
                *(("opa-eu10-immediate", token) for token in ("", "x", OTHER)),
                *((f"opa-eu10-{name}", OWN) for name in ("ANYTHING", "immediate2", "bulk", "", "immediate/..")),
                ("opa-us20-immediate", OWN),
                ("opa-gateway-immediate", OWN),
            )
        ),
        ("GET", "/bundles/../logs/opa-eu10-bulk", OWN, 404),
        ("GET", "/logs/opa-eu10-immediate", OWN, 403),
        ("POST", "/orbital.v1.RegistryService/Kill", OWN, 404),
    ],
)
def test_engines_of_a_region_reach_only_what_is_theirs(site, method, path, token, status):
    connection = http.client.HTTPConnection("127.0.0.1", site.ports["eu10-bundles"], timeout=TIMEOUT)
    headers = {"x-orbital-engine-token": token} if token else {}
    connection.request(method, path, b"[]" if method == "POST" else None, headers)
    assert connection.getresponse().status == status
    connection.close()
