"""What a policy engine sends by itself: a decision that it made, and its state."""

from __future__ import annotations

from typing import Any

CALL: dict[str, Any] = {
    "decision_id": "d1",
    "path": "orbital/authz/ingress/decision",
    "timestamp": "2026-01-13T12:00:00.123456789Z",
    "input": {"principal": "spiffe://orbital/region/eu10", "correlations": ["0" * 32]},
    "result": {
        "allowed": False,
        "principal": "spiffe://orbital/region/eu10",
        "action": "/orbital.v1.X/Y",
        "correlation_id": "0" * 32,
        "headers": {"x-orbital-reason": "ROLE_MISSING"},
        "body": "No.",
    },
    "labels": {"id": "i1"},
    "bundles": {"orbital": {"revision": "r1"}},
}
DENIED = {"denied": [{"reason": "FROZEN"}], "denied_total": 7}
BATCH = {**CALL, "result": {"allowed": 3, **DENIED}}
METRIC = {
    "label": [{"name": "handler", "value": "check"}],
    "histogram": {"sampleCount": "5"},
}
STATUS: dict[str, Any] = {
    "labels": {"id": "i1"},
    "bundles": {"orbital": {"active_revision": "r1", "code": "bundle_error", "message": "bad"}},
    "metrics": {"prometheus": {"grpc_request_duration_seconds": {"metric": [METRIC]}}},
}
