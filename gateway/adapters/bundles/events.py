"""Events of a decision log and an engine's status, as OPA sends them, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.ports.engines import Decided, EngineStatus
from gateway.ports.store import Denial
from runtime.lenient_json import MOST_WHOLE, Json
from runtime.policy import Refusal

BUNDLE = "orbital"
MOST_ERROR = 500  # bytes of what an engine says of a bundle that it does not load
MOST_CORRELATIONS = 10_000  # changes in one decision; a batch has fewer tasks
MOST_COUNTED = 2**31 - 1  # what a count of decisions has room for
_PATH = re.compile(r"orbital/authz/(\w+)/decisions?")
_CORRELATION = re.compile(r"[0-9a-f]{32}")
# The counters of the decisions that an engine has made: questions asked of its data API, and calls of Envoy.
COUNTERS = ("http_request_duration_seconds", "grpc_request_duration_seconds")


def decided(event: Json) -> Decided:
    """An event as it is kept, whatever of it is missing."""
    given, result, path = event.at("input"), event.at("result"), event.at("path").text()
    policy, batch = _PATH.fullmatch(path), result.at("denied").is_array
    allowed, denied = _batch_counts(result) if batch else _counts(result)
    first = next(result.at("denied").items(), Json()) if batch else result
    now, at = datetime.now(UTC), event.at("timestamp").moment()
    return Decided(
        decision_id=event.at("decision_id").text(),
        policy=policy.group(1) if policy else path,
        # Who was asked about is what the policy went by, and nobody else's to work out again.
        principal=result.at("principal").text() or given.at("principal").text(),
        action=result.at("action").text() or ("batch" if batch else ""),
        allowed=allowed,
        denied=denied,
        reason=first.at("reason").text(),
        revision=event.at("bundles", BUNDLE, "revision").text(),
        correlation_ids=list(_correlations(given, result)),
        # The newest are shown first: none is newer than now.
        at=min(at or now, now),
    )


def _batch_counts(result: Json) -> tuple[int, int]:
    """The mask has put the number of those that were allowed in their place, and tells the first of the others."""
    allowed, denied = result.at("allowed"), result.at("denied")
    total = result.at("denied_total")
    return (
        min(len(allowed.value) if allowed.is_array else allowed.whole(), MOST_COUNTED),
        min(len(denied.value) if total.value is None else total.whole(), MOST_COUNTED),
    )


def _counts(result: Json) -> tuple[int, int]:
    return (1, 0) if result.at("allowed").value is True else (0, 1)


def _correlations(given: Json, result: Json) -> Iterator[str]:
    said = given.at("correlations")
    for each in list(said.items())[:MOST_CORRELATIONS] if said.is_array else [result.at("correlation_id")]:
        if _CORRELATION.fullmatch(each.exact()):
            yield each.exact()


def engine_status(name: str, report: Json) -> EngineStatus:
    """What an engine says of itself."""
    bundle = report.at("bundles", BUNDLE)
    error = bundle.at("message").text(MOST_ERROR) if bundle.at("code").value else ""
    metrics = report.at("metrics", "prometheus")
    made = sum(_made(metrics.at(counter)) for counter in COUNTERS)
    revision = bundle.at("active_revision").text()
    return EngineStatus(name, instance_of(report), revision, error, min(made, MOST_WHOLE))


def _made(counter: Json) -> int:
    """The decisions in one counter: POSTs to the data API that were answered, or checks."""
    total = 0
    for metric in counter.at("metric").items():
        labels = {each.at("name").text(): each.at("value").text() for each in metric.at("label").items()}
        asked = labels.get("handler") == "v1/data" and labels.get("method") == "post" and labels.get("code") == "200"
        if asked or labels.get("handler") == "check":
            total += metric.at("histogram", "sampleCount").whole()
    return total


def instance_of(event: Json) -> str:
    """The running engine that sent an event or a status."""
    return event.at("labels", "id").text()


def denials_of(event: Json, engine: str) -> list[Denial]:
    """The refusals in one event of a decision log; batch decisions are kept by whoever asked for them."""
    result = event.at("result")
    if result.at("allowed").value is not False:
        return []
    reason = result.at("reason").text() or result.at("headers", "x-orbital-reason").text() or "DENIED"
    return [
        Denial(
            decision_id=event.at("decision_id").text(),
            policy="ingress",
            principal=result.at("principal").text(),
            action=result.at("action").text(),
            refusal=Refusal(reason, result.at("body").text()),
            correlation_id=next(_correlations(Json(), result), ""),
            engine=engine,
        )
    ]
