"""Which trouble of a component is explained by which other component's."""

from __future__ import annotations

from dataclasses import dataclass

from checker.domain.statistics import SLOW, TARGETS, TROUBLE, UPSTREAM_DOWN


@dataclass(frozen=True, slots=True)
class CauseRule:
    """`cause` explains `effect`, but only where the effect has one of these reasons."""

    cause: str
    effect: str
    reasons: frozenset[str]


ENGINES = ("opa-immediate", "opa-bulk")
EDGE_AWAY = "EDGE_SIDECAR_UNREACHABLE"


def _seen_by_envoy(upstream: str) -> frozenset[str]:
    reasons = (UPSTREAM_DOWN, SLOW, "AUTHORIZATION_TIMEOUT", *dict.fromkeys(reason for _end, reason in TROUBLE))
    return frozenset(f"{upstream}_{reason}" for reason in reasons)


PROVIDERS = ("hsm", "kms")
PROCESSES = ("region-immediate", "region-bulk")
# What is looked at through Envoy, or through what Envoy leads to.
BEHIND_ENVOY = ("openbao", *ENGINES, *PROCESSES, *PROVIDERS, "gateway", "rabbitmq", "edges")
BEHIND_GATEWAY = ("envoy", "gateway")

CLOCK_OFFSET, FLAPPING = "CLOCK_OFFSET", "FLAPPING"
_SEEN = frozenset.union(*map(_seen_by_envoy, TARGETS)) | {"SEVERAL_UPSTREAMS", FLAPPING}
_WAITING = ("TASKS_WAIT_FOR_OPENBAO", "TASKS_WAIT_FOR_POLICY", "TASKS_WAIT_FOR_HSM")
# What a wrong clock does: certificates, tokens, confirmations and times of arrival are of another time than they say.
BY_CLOCK: dict[str, frozenset[str]] = {
    **{
        process: frozenset({"LANE_SILENT", "REPORTS_WAIT", "JOURNAL_OLD", "TASK_FAILING", *_WAITING, FLAPPING})
        for process in PROCESSES
    },
    **{engine: frozenset({"BUNDLE_STALE", "BUNDLE_ERROR", "DECISION_LOG_REFUSED", FLAPPING}) for engine in ENGINES},
    "openbao": frozenset({"OPENBAO_UNREACHABLE", "OPENBAO_LOGIN", "OPENBAO_DENIED", FLAPPING}),
    "hsm": frozenset({"PROVIDER_NOT_TRIED", FLAPPING}),
    "kms": frozenset({"KMS_UNREACHABLE", "PROVIDER_NOT_TRIED", FLAPPING}),
    "certificates": frozenset({"CERTIFICATE_EXPIRED", "CERTIFICATE_EXPIRING", FLAPPING}),
    "rabbitmq": frozenset(
        {"QUEUE_UNREAD_IMMEDIATE", "QUEUE_UNREAD_BULK", "QUEUES_UNREAD", "QUEUES_UNKNOWN", "QUEUE_DEEP", FLAPPING}
    ),
    "gateway": frozenset({"GATEWAY_UNREACHABLE", FLAPPING}),
    "edges": frozenset({"EDGE_SILENT", "EDGE_DRIFT", FLAPPING}),
    "envoy": _SEEN,
    "envoy-edges": _SEEN,
}

CAUSE_RULES: tuple[CauseRule, ...] = (
    *(CauseRule("envoy", part, frozenset({"SIDECAR_UNREACHABLE"})) for part in BEHIND_ENVOY),
    CauseRule("envoy", "certificates", frozenset({"CERTIFICATES_UNREADABLE"})),
    # OpenBao's unseal key is wrapped by the HSM.
    CauseRule("hsm", "openbao", frozenset({"OPENBAO_SEALED"})),
    *(CauseRule("region-immediate", provider, frozenset({"PROVIDER_NOT_TRIED"})) for provider in PROVIDERS),
    CauseRule("gateway", "rabbitmq", frozenset({"QUEUES_UNKNOWN"})),
    CauseRule("region-immediate", "rabbitmq", frozenset({"QUEUE_UNREAD_IMMEDIATE"})),
    CauseRule("region-bulk", "rabbitmq", frozenset({"QUEUE_UNREAD_BULK"})),
    *(CauseRule(cause, "clock", frozenset({"CLOCK_UNKNOWN"})) for cause in BEHIND_GATEWAY),
    *(
        CauseRule(cause, process, frozenset({"LANE_SILENT", "REPORTS_WAIT"}))
        for cause in (*BEHIND_GATEWAY, "rabbitmq")
        for process in PROCESSES
    ),
    *(CauseRule("hsm", process, frozenset({"TASKS_WAIT_FOR_HSM"})) for process in PROCESSES),
    *(CauseRule("openbao", process, frozenset({"TASKS_WAIT_FOR_OPENBAO"})) for process in PROCESSES),
    *(CauseRule(engine, process, frozenset({"TASKS_WAIT_FOR_POLICY"})) for engine in ENGINES for process in PROCESSES),
    CauseRule("gateway", "envoy", _seen_by_envoy("GATEWAY")),
    CauseRule("openbao", "envoy", _seen_by_envoy("OPENBAO")),
    *(CauseRule(process, "envoy", _seen_by_envoy("REGION")) for process in PROCESSES),
    *(CauseRule(engine, "envoy", _seen_by_envoy("OPA")) for engine in ENGINES),
    *(CauseRule(cause, engine, frozenset({"BUNDLE_STALE"})) for cause in BEHIND_GATEWAY for engine in ENGINES),
    CauseRule("region-immediate", "edges", frozenset({"EDGES_UNREACHABLE"})),
    *(
        CauseRule(cause, "edges", frozenset({"EDGE_SILENT"}))
        for cause in ("envoy", "region-immediate", "opa-immediate")
    ),
    CauseRule("envoy-edges", "edges", frozenset({"EDGE_SILENT"})),
    *(CauseRule(cause, "envoy-edges", _seen_by_envoy("REGION")) for cause in ("envoy", "openbao", *PROCESSES)),
    # Last: what is down explains more than a clock does, and may be down because of it.
    *(CauseRule("clock", effect, reasons) for effect, reasons in BY_CLOCK.items()),
)


def causes(component: str, reason: str) -> frozenset[str]:
    """The components whose failure would explain that this one is in trouble for this reason; a clock does not fail."""
    found = {each.cause for each in CAUSE_RULES if each.effect == component and reason in each.reasons}
    return frozenset(found - {"clock"})
