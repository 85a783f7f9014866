"""What a sidecar's statistics say: counters that grew between two looks, and gauges that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from checker.domain.sample import Finding, Status, healthy

# The ends of counters that count something wrong, with the reason that their growth gives.
TROUBLE: tuple[tuple[str, str], ...] = (
    (".upstream_cx_none_healthy", "NO_HEALTHY_UPSTREAM"),
    (".upstream_cx_connect_fail", "CONNECT_FAILED"),
    (".upstream_rq_timeout", "TIMEOUT"),
    (".ext_authz.error", "AUTHORIZATION_ERROR"),
    (".ssl.connection_error", "TLS_HANDSHAKE_FAILED"),
    (".ssl.fail_verify_san", "TLS_HANDSHAKE_FAILED"),
    (".ssl.fail_verify_error", "TLS_HANDSHAKE_FAILED"),
    (".jwt_authn.jwks_fetch_failed", "JWKS_FETCH_FAILED"),
)
# What ext_authz asks; a time-out there is an authorisation that nobody gave.
AUTHORIZER = "cluster.opa."
TARGETS = ("GATEWAY", "REGION", "OPA", "OPENBAO")
# What a process of the region serves to its edges, and says of them.
OF_THE_REGION = ("EDGE", "EDGES")
# Edges wait there for a newer policy: as the region's sidecar calls it, and as an edge's does.
LONG_POLLED = ("edge", "region-edge")
# A stranger who fails to prove who it is to a listener is no trouble of ours.
STRANGERS = "listener."
# Counters that are shown as evidence, and are no trouble by themselves.
SHOWN = (".ext_authz.denied", ".jwt_authn.denied", ".outlier_detection.ejections_active", ".ssl.connection_error")
# Its growth says that whom it is about answers.
ANSWERED = ".upstream_rq_2xx"
# Whose answers take a moment: streams to the gateway end after minutes, which is no latency.
QUICK = ("REGION", "OPA", "OPENBAO")
UPSTREAM_DOWN, SLOW = "UPSTREAM_DOWN", "SLOW"
WANTED = (*(end for end, _reason in TROUBLE), *SHOWN, ANSWERED)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a cluster's requests in the last few seconds: the median, and what one in a hundred exceeds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a sidecar: hosts that its health checks call down, statistics by name, latency by cluster."""

    down: tuple[str, ...]
    statistics: Mapping[str, int]
    version: str
    latencies: Mapping[str, Latency] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnvoyFault:
    """One thing that is wrong: about whom, why, and the statistic that shows it."""

    target: str
    reason: str
    name: str
    value: str


def growth(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """How much each counter grew; a counter that went back began anew with the sidecar."""
    return {name: value - before.get(name, 0) if value >= before.get(name, 0) else value for name, value in now.items()}


def read(snapshots: Iterable[Snapshot], slow: float = float("inf")) -> Finding:
    """What a window of snapshots, the oldest first, says of the sidecar; a window of one has no growth yet.

    `slow` is the median latency, in milliseconds, that is too much.
    """
    window = list(snapshots)
    newest = window[-1]
    grown = growth(window[0].statistics, newest.statistics) if len(window) > 1 else {}
    shown = tuple((name, f"+{value}") for name, value in grown.items() if value and name.endswith(SHOWN))
    times = tuple(
        (f"cluster.{name}.upstream_rq_time", f"p50={each.p50:.0f} p99={each.p99:.0f} ms")
        for name, each in sorted(newest.latencies.items())
    )
    trouble = [*_down(newest), *_counted(grown, _recovered(window)), *_slow(newest, slow)]
    if not trouble:
        return healthy(*shown, *times, version=newest.version)
    targets = {each.target for each in trouble}
    # Of several upstreams in trouble none speaks for the others, so that no cause can hide them all.
    reason = f"{trouble[0].target}_{trouble[0].reason}" if len(targets) == 1 else "SEVERAL_UPSTREAMS"
    values = tuple((each.name, each.value) for each in trouble)
    text = f"The sidecar counts trouble: {', '.join(f'{name} {value}' for name, value in values)}."
    return Finding(Status.DEGRADED, reason, text, (*values, *shown), newest.version)


def _down(newest: Snapshot) -> list[EnvoyFault]:
    return [EnvoyFault(target(cluster), UPSTREAM_DOWN, f"{cluster}.health", "failed") for cluster in newest.down]


def _counted(grown: Mapping[str, int], recovered: set[str]) -> list[EnvoyFault]:
    found = [
        EnvoyFault(target(name), _reason(name, reason), name, f"+{value}")
        for end, reason in TROUBLE
        for name, value in grown.items()
        if value and name.endswith(end) and not name.startswith(STRANGERS)
    ]
    return [each for each in found if each.target not in recovered]


def _slow(newest: Snapshot, slow: float) -> list[EnvoyFault]:
    return [
        EnvoyFault(target(name), SLOW, f"cluster.{name}.upstream_rq_time", f"p50={each.p50:.0f} ms")
        for name, each in sorted(newest.latencies.items())
        if each.p50 > slow and target(name) in QUICK and name not in LONG_POLLED
    ]


def _recovered(window: Sequence[Snapshot]) -> set[str]:
    """Who has answered since the last look, and given no trouble in that time: what was before is over."""
    if len(window) < 2:
        return set()
    last = growth(window[-2].statistics, window[-1].statistics)
    ends = tuple(end for end, _reason in TROUBLE)
    still = {target(name) for name, value in last.items() if value and name.endswith(ends)}
    answered = {target(name) for name, value in last.items() if value and name.endswith(ANSWERED)}
    return answered - still


def _reason(name: str, reason: str) -> str:
    return "AUTHORIZATION_TIMEOUT" if name.startswith(AUTHORIZER) and reason == "TIMEOUT" else reason


def target(name: str) -> str:
    """Whom a statistic or cluster is about: GATEWAY, REGION, OPA, OPENBAO, or ENVOY itself."""
    if "ext_authz" in name:
        return "OPA"
    cluster = name.removeprefix("cluster.").split(".")[0].split("-")[0].upper()
    if cluster in OF_THE_REGION:
        return "REGION"
    return cluster if cluster in TARGETS else "ENVOY"
