"""What a sidecar's statistics say: counters that grew between two looks, and gauges that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from checker.domain.sample import Finding, Status, healthy

# The ends of counters that count something wrong, with the reason that their growth gives.
TROUBLE: tuple[tuple[str, str], ...] = (
    (".upstream_cx_none_healthy", "NO_HEALTHY_UPSTREAM"),
    (".upstream_cx_connect_fail", "CONNECT_FAILED"),
    (".ext_authz.error", "AUTHORIZATION_ERROR"),
    (".ext_authz.timeout", "AUTHORIZATION_TIMEOUT"),
    (".ssl.connection_error", "TLS_HANDSHAKE_FAILED"),
    (".ssl.fail_verify_san", "TLS_HANDSHAKE_FAILED"),
    (".ssl.fail_verify_error", "TLS_HANDSHAKE_FAILED"),
)
TARGETS = ("GATEWAY", "REGION", "OPA")
# A stranger who fails to prove who it is to a listener is no trouble of ours.
STRANGERS = "listener."
# Shown as evidence, and no trouble by themselves.
SHOWN = (".ext_authz.denied", ".jwt_authn.denied", ".outlier_detection.ejections_active")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a sidecar: hosts that its health checks call down, statistics by name, and its version."""

    down: tuple[str, ...]
    statistics: Mapping[str, int]
    version: str


def growth(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """How much each counter grew; a counter that went back began anew with the sidecar."""
    return {name: value - before.get(name, 0) if value >= before.get(name, 0) else value for name, value in now.items()}


def read(snapshots: Iterable[Snapshot]) -> Finding:
    """What a window of snapshots, the oldest first, says of the sidecar; a window of one has no growth yet."""
    window = list(snapshots)
    newest = window[-1]
    grown = growth(window[0].statistics, newest.statistics) if len(window) > 1 else {}
    shown = tuple((name, f"+{value}") for name, value in grown.items() if value and name.endswith(SHOWN))
    trouble = [(target(cluster), "UPSTREAM_DOWN", f"{cluster}.health", "failed") for cluster in newest.down]
    trouble += [
        (target(name), reason, name, f"+{value}")
        for end, reason in TROUBLE
        for name, value in grown.items()
        if value and name.endswith(end) and not name.startswith(STRANGERS)
    ]
    if not trouble:
        return healthy(*shown, version=newest.version)
    targets = {each[0] for each in trouble}
    # Of several upstreams in trouble none speaks for the others, so that no cause can hide them all.
    reason = f"{trouble[0][0]}_{trouble[0][1]}" if len(targets) == 1 else "SEVERAL_UPSTREAMS"
    values = tuple((name, value) for _target, _reason, name, value in trouble)
    text = f"The sidecar counts trouble: {', '.join(f'{name} {value}' for name, value in values)}."
    return Finding(Status.DEGRADED, reason, text, (*values, *shown), newest.version)


def target(name: str) -> str:
    """Whom a statistic or cluster is about: GATEWAY, REGION, OPA, or ENVOY itself."""
    if "ext_authz" in name:
        return "OPA"
    cluster = name.removeprefix("cluster.").split(".")[0].split("-")[0].upper()
    return cluster if cluster in TARGETS else "ENVOY"
