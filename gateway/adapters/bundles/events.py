"""Events of a decision log and an engine's status, as OPA sends them, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.ports.engines import Decided, EngineStatus
from gateway.ports.store import Denial
from runtime.policy import Refusal

BUNDLE = "orbital"
_PATH = re.compile(r"orbital/authz/(\w+)/decisions?")
# The counters of the decisions that an engine has made: questions asked of its data API, and calls of Envoy.
COUNTERS = ("http_request_duration_seconds", "grpc_request_duration_seconds")


def decided(event: dict[str, Any]) -> Decided:
    """An event as it is kept, whatever of it is missing."""
    given, result = _object(event, "input"), _object(event, "result")
    policy = _PATH.fullmatch(str(event.get("path", "")))
    batch = isinstance(result.get("denied"), list)
    allowed, denied = _counts(result, batch=batch)
    first = result["denied"][0] if batch and result["denied"] else result
    return Decided(
        decision_id=str(event.get("decision_id", "")),
        policy=policy.group(1) if policy else str(event.get("path", "")),
        # Who was asked about is what the policy went by, and nobody else's to work out again.
        principal=str(result.get("principal") or given.get("principal") or ""),
        action=str(result.get("action", "")) or ("batch" if batch else ""),
        allowed=allowed,
        denied=denied,
        reason=str(first.get("reason", "")) if isinstance(first, dict) else "",
        revision=str(((event.get("bundles") or {}).get(BUNDLE) or {}).get("revision", "")),
        correlation_ids=list(_correlations(given, result)),
        at=_time(str(event.get("timestamp", ""))),
    )


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    found = event.get(name)
    return found if isinstance(found, dict) else {}


def _counts(result: dict[str, Any], *, batch: bool) -> tuple[int, int]:
    if batch:
        # The mask has put the number of those that were allowed in their place, and tells the first of the others.
        allowed = result.get("allowed", 0)
        total = result.get("denied_total", len(result["denied"]))
        return allowed if isinstance(allowed, int) else len(allowed), int(total)
    return (1, 0) if result.get("allowed") is True else (0, 1)


def _correlations(given: dict[str, Any], result: dict[str, Any]) -> Iterator[str]:
    said = given.get("correlations")
    for each in said if isinstance(said, list) else [result.get("correlation_id", "")]:
        if isinstance(each, str) and re.fullmatch(r"[0-9a-f]{32}", each):
            yield each


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)


def engine_status(name: str, report: dict[str, Any]) -> EngineStatus:
    """What an engine says of itself."""
    bundle = (report.get("bundles") or {}).get(BUNDLE) or {}
    error = str(bundle.get("message", "")) if bundle.get("code") else ""
    metrics = (report.get("metrics") or {}).get("prometheus") or {}
    return EngineStatus(
        name, str((report.get("labels") or {}).get("id", "")), str(bundle.get("active_revision", "")), error[:500],
        sum(_made(metrics.get(counter)) for counter in COUNTERS),
    )  # fmt: skip


def _made(counter: Any) -> int:
    """The decisions in one counter: POSTs to the data API that were answered, or checks."""
    total = 0
    for metric in (counter or {}).get("metric", ()):
        labels = {label["name"]: label["value"] for label in metric.get("label", ())}
        asked = labels.get("handler") == "v1/data" and labels.get("method") == "post" and labels.get("code") == "200"
        if asked or labels.get("handler") == "check":
            total += int((metric.get("histogram") or {}).get("sampleCount", 0))
    return total


def denials_of(event: dict[str, Any], engine: str) -> list[Denial]:
    """The refusals in one event of a decision log; batch decisions are kept by whoever asked for them."""
    result = event.get("result")
    if not isinstance(result, dict) or result.get("allowed") is not False:
        return []
    answered = _object(result, "headers")
    return [
        Denial(
            decision_id=str(event.get("decision_id", "")),
            policy="ingress",
            principal=str(result.get("principal", "")),
            action=str(result.get("action", "")),
            refusal=Refusal(
                str(result.get("reason") or answered.get("x-orbital-reason") or "DENIED"), str(result.get("body", ""))
            ),
            correlation_id=next(_correlations({}, result), ""),
            engine=engine,
        )
    ]
