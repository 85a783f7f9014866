"""The gateway's JWT listener: a region is what its token says, and nothing without one."""

from __future__ import annotations

import grpc
import pytest
from orbital.v1 import dispatch_pb2_grpc, registry_pb2, registry_pb2_grpc, report_pb2, report_pb2_grpc

from tests.contract.policies.calls import TIMEOUT, outcome, refusal
from tests.contract.policies.pki import TokenIssuer

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def report(site, token, region="us20"):
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with site.channel("jwt", None) as channel:
        stub = report_pb2_grpc.ReportServiceStub(channel)
        return stub.Report(report_pb2.ReportRequest(region=region), timeout=TIMEOUT, metadata=metadata)


def test_region_with_a_token_passes_and_is_named(site):
    report(site, site.issuer.token("us20"))
    seen = site.echoes["gateway-bulk"].seen[-1]
    assert seen.metadata["x-orbital-principal"] == "spiffe://orbital/region/us20"
    assert "authorization" not in seen.metadata


def test_region_may_not_speak_for_another(site):
    error = refusal(lambda: report(site, site.issuer.token("us20"), "eu10"))
    assert outcome(error) == (DENIED, "REGION_MISMATCH")


def test_region_may_not_declare(site):
    metadata = (("authorization", f"Bearer {site.issuer.token('us20')}"),)
    with site.channel("jwt", None) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        error = refusal(lambda: stub.Declare(registry_pb2.DeclareRequest(), timeout=TIMEOUT, metadata=metadata))
    assert outcome(error) == (DENIED, "ROLE_MISSING")


def test_stream_needs_a_token_as_well(site):
    metadata = (("x-orbital-region", "us20"), ("x-orbital-lane", "0"))
    with site.channel("jwt", None) as channel:
        call = dispatch_pb2_grpc.DispatchServiceStub(channel).Subscribe(iter(()), metadata=metadata, timeout=TIMEOUT)
        error = refusal(lambda: next(call))
    assert outcome(error) == (UNAUTHENTICATED, "TOKEN_REFUSED")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (lambda _issuer: "", (UNAUTHENTICATED, "TOKEN_REFUSED")),
        (lambda _issuer: "not.a.token", (UNAUTHENTICATED, "TOKEN_REFUSED")),
        (lambda issuer: issuer.token("us20", seconds=-60), (UNAUTHENTICATED, "TOKEN_REFUSED")),
        (lambda issuer: issuer.token("us20", issuer="https://elsewhere.test"), (UNAUTHENTICATED, "TOKEN_REFUSED")),
        (lambda _issuer: TokenIssuer().token("us20"), (UNAUTHENTICATED, "TOKEN_REFUSED")),
        (lambda issuer: issuer.token("us20", audience="another"), (DENIED, "TOKEN_REFUSED")),
        (lambda issuer: issuer.token(""), (UNAUTHENTICATED, "NO_NAME_IN_TOKEN")),
        (lambda issuer: issuer.token(20), (UNAUTHENTICATED, "NO_NAME_IN_TOKEN")),
        (lambda issuer: issuer.token("us20/../eu10"), (UNAUTHENTICATED, "NO_NAME_IN_TOKEN")),
    ],
    ids=["missing", "garbage", "expired", "issuer", "signature", "audience", "no-region", "number", "path"],
)
def test_bad_token_is_refused(site, token, expected):
    before = len(site.echoes["gateway-bulk"].seen)
    assert outcome(refusal(lambda: report(site, token(site.issuer)))) == expected
    assert len(site.echoes["gateway-bulk"].seen) == before
