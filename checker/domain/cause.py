"""Which trouble of a component is explained by which other component's."""

from __future__ import annotations

from dataclasses import dataclass

from checker.domain.statistics import SLOW, TROUBLE, UPSTREAM_DOWN


@dataclass(frozen=True, slots=True)
class Fold:
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

FOLDS: tuple[Fold, ...] = (
    *(Fold("envoy", part, frozenset({"SIDECAR_UNREACHABLE"})) for part in BEHIND_ENVOY),
    Fold("envoy", "certificates", frozenset({"CERTIFICATES_UNREADABLE"})),
    # OpenBao's unseal key is wrapped by the HSM.
    Fold("hsm", "openbao", frozenset({"OPENBAO_SEALED"})),
    *(Fold("region-immediate", provider, frozenset({"PROVIDER_NOT_TRIED"})) for provider in PROVIDERS),
    Fold("gateway", "rabbitmq", frozenset({"QUEUES_UNKNOWN"})),
    Fold("region-immediate", "rabbitmq", frozenset({"QUEUE_UNREAD_IMMEDIATE"})),
    Fold("region-bulk", "rabbitmq", frozenset({"QUEUE_UNREAD_BULK"})),
    *(Fold(cause, "clock", frozenset({"CLOCK_UNKNOWN"})) for cause in BEHIND_GATEWAY),
    *(
        Fold(cause, process, frozenset({"LANE_SILENT", "REPORTS_WAIT"}))
        for cause in (*BEHIND_GATEWAY, "rabbitmq")
        for process in PROCESSES
    ),
    *(Fold("hsm", process, frozenset({"TASKS_WAIT_FOR_HSM"})) for process in PROCESSES),
    *(Fold("openbao", process, frozenset({"TASKS_WAIT_FOR_OPENBAO"})) for process in PROCESSES),
    *(Fold(engine, process, frozenset({"TASKS_WAIT_FOR_POLICY"})) for engine in ENGINES for process in PROCESSES),
    Fold("gateway", "envoy", _seen_by_envoy("GATEWAY")),
    Fold("openbao", "envoy", _seen_by_envoy("OPENBAO")),
    *(Fold(process, "envoy", _seen_by_envoy("REGION")) for process in PROCESSES),
    *(Fold(engine, "envoy", _seen_by_envoy("OPA")) for engine in ENGINES),
    *(Fold(cause, engine, frozenset({"BUNDLE_STALE"})) for cause in BEHIND_GATEWAY for engine in ENGINES),
    Fold("region-immediate", "edges", frozenset({"EDGES_UNREACHABLE"})),
    *(Fold(cause, "edges", frozenset({"EDGE_SILENT"})) for cause in ("envoy", "region-immediate", "opa-immediate")),
    Fold("envoy-edges", "edges", frozenset({"EDGE_SILENT"})),
    *(Fold(cause, "envoy-edges", _seen_by_envoy("REGION")) for cause in ("envoy", "openbao", *PROCESSES)),
)


def causes(component: str, reason: str) -> frozenset[str]:
    """The components whose failure would explain that this one is in trouble for this reason."""
    return frozenset(each.cause for each in FOLDS if each.effect == component and reason in each.reasons)
