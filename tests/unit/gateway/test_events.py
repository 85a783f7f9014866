"""Decision logs and statuses of engines, as OPA sends them."""

from typing import Any

import pytest

from gateway.adapters.bundles.events import decided, denials_of, engine_status
from runtime.lenient_json import Json

CHANGE = "01a20a2e83b17cecb1ad73c1a8f60dd1"
BATCH = {
    "decision_id": "d1",
    "path": "orbital/authz/execute/decisions",
    "input": {"region": "eu10", "correlations": [CHANGE, "nonsense"], "tasks": []},
    "result": {"allowed": 3, "denied": [{"id": "b", "reason": "FROZEN", "message": "Later"}]},
    "bundles": {"orbital": {"revision": "r1"}},
    "timestamp": "2026-01-13T12:00:00.123456789Z",
}


def test_a_batch_is_one_decision_that_counts() -> None:
    found = decided(Json(BATCH))
    assert (found.policy, found.allowed, found.denied) == ("execute", 3, 1)
    assert (found.reason, found.revision) == ("FROZEN", "r1")
    assert found.correlation_ids == [CHANGE]
    assert found.at.year == 2026


def test_a_call_is_one() -> None:
    found = decided(
        Json(
            {
                "path": "orbital/authz/ingress/decision",
                "input": {"attributes": {"source": {"principal": "spiffe://orbital/somebody/else"}}},
                "result": {
                    "allowed": True,
                    "principal": "spiffe://orbital/person/operator",
                    "action": "/orbital.v1.X/Y",
                    "correlation_id": CHANGE,
                },
            }
        )
    )
    assert (found.allowed, found.denied, found.action) == (1, 0, "/orbital.v1.X/Y")
    assert (found.principal, found.correlation_ids) == ("spiffe://orbital/person/operator", [CHANGE])


@pytest.mark.parametrize("who", ["person/auditor", "region/eu10", "workload/a/b/c", "edge/eu10/one"])
def test_whoever_was_refused_is_kept_by_the_name_that_the_policy_went_by(who: str) -> None:
    result = {
        "allowed": False,
        "principal": f"spiffe://orbital/{who}",
        "action": "/orbital.v1.X/Y",
        "correlation_id": CHANGE,
        "reason": "ROLE_MISSING",
        "body": "No.",
    }
    (one,) = denials_of(Json({"decision_id": "d1", "input": {"attributes": {}}, "result": result}), "opa-x")
    assert (one.principal, one.action, one.correlation_id) == (f"spiffe://orbital/{who}", "/orbital.v1.X/Y", CHANGE)
    assert (one.refusal.reason, one.refusal.message) == ("ROLE_MISSING", "No.")


def test_a_batch_with_many_denials_says_how_many() -> None:
    result = {"allowed": 1, "denied": [{"id": "b", "reason": "FROZEN"}], "denied_total": 700}
    assert decided(Json({**BATCH, "result": result})).denied == 700


@pytest.mark.parametrize("event", [{}, {"input": None, "result": None}, {"result": {"denied": []}}, {"input": "x"}])
def test_whatever_is_missing_it_is_kept(event: dict[str, Any]) -> None:
    assert decided(Json(event)).allowed == 0


def counter(handler: str, method: str, code: str, count: object) -> dict[str, Any]:
    labels = {"handler": handler, "method": method, "code": code}
    return {
        "label": [{"name": name, "value": value} for name, value in labels.items()],
        "histogram": {"sampleCount": count},
    }


def test_an_engine_counts_what_it_decided() -> None:
    asked = [
        counter("v1/data", "post", "200", 7),
        counter("v1/data", "get", "200", 9),
        counter("health", "get", "", 1),
    ]
    report = {
        "labels": {"id": "i1"},
        "bundles": {"orbital": {"active_revision": "r1", "code": "bundle_error", "message": "bad signature"}},
        "metrics": {
            "prometheus": {
                "http_request_duration_seconds": {"metric": asked},
                "grpc_request_duration_seconds": {"metric": [counter("check", "", "", "5")]},
            }
        },
    }
    status = engine_status("opa-x", Json(report))
    assert (status.instance, status.revision, status.error, status.made) == ("i1", "r1", "bad signature", 12)
    assert engine_status("opa-x", Json({})).made == 0
