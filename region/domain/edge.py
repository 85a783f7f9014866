"""Edge policy: compiled to what `orbital.authz.edge` decides by, and how each edge stands to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orbital.v1 import edge_pb2
from orbital.v1 import resource_pb2 as rpb

from runtime.errors import Invalid

EFFECTS = {rpb.EDGE_EFFECT_ALLOW: "allow", rpb.EDGE_EFFECT_DENY: "deny"}
OPERATIONS = {
    rpb.EDGE_OPERATION_WRAP: "wrap",
    rpb.EDGE_OPERATION_UNWRAP: "unwrap",
    rpb.EDGE_OPERATION_REWRAP: "rewrap",
    rpb.EDGE_OPERATION_GENERATE_DATA_KEY: "generate-data-key",
}
# Where rules are filed that are about every tenant; no tenant can be called so.
EVERY = "*"
BELOW = "/*"
REVISION = 16


def check(spec: rpb.EdgePolicySpec) -> None:
    """Raise Invalid on what this region does not understand: left out, it would change what a rule is about."""
    for rule in spec.rules:
        if rule.effect not in EFFECTS or any(each not in OPERATIONS for each in rule.operations):
            raise Invalid(f"The rule {rule.name!r} is not understood here", reason="INVALID_TASK", field="spec.rules")


def compiled(policies: Iterable[rpb.Resource], killed: Mapping[str, int]) -> dict[str, Any]:
    """`data.orbital.edge`: the rules by effect and tenant, and the killed tenants. The order given has no influence."""
    filed: dict[str, dict[str, list[dict[str, Any]]]] = {effect: {} for effect in EFFECTS.values()}
    living = [policy for policy in policies if not policy.retired]
    for policy in sorted(living, key=lambda each: each.name):
        for rule in sorted(policy.edge_policy.rules, key=lambda each: each.name):
            under = filed[EFFECTS[rule.effect]]
            for tenant in sorted(set(rule.tenants)) or [EVERY]:
                under.setdefault(tenant, []).append(_rule(policy, rule))
    generations = {policy.name: policy.generation for policy in living}
    return {**filed, "killed": dict(sorted(killed.items())), "generations": dict(sorted(generations.items()))}


def _rule(policy: rpb.Resource, rule: rpb.EdgeRule) -> dict[str, Any]:
    return {
        "name": f"{policy.name}/{rule.name}",
        "callers": sorted({each for each in rule.callers if not each.endswith(BELOW)}),
        "below": sorted({each.removesuffix("*") for each in rule.callers if each.endswith(BELOW)}),
        "systems": sorted(set(rule.systems)),
        "services": sorted(set(rule.services)),
        "operations": sorted({OPERATIONS[each] for each in rule.operations}),
    }


def canonical(content: Any) -> bytes:
    """JSON as it is signed: keys sorted, nothing between."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def revision(content: Mapping[str, Any], rego: bytes) -> str:
    """The name of what is served: the same content has the same name, whoever builds it."""
    return hashlib.sha256(canonical(content) + b"\0" + rego).hexdigest()[:REVISION]


@dataclass(frozen=True, slots=True)
class EdgeReport:
    """What an edge last said of itself. Times are seconds since the epoch; `refusal` is why it refuses a bundle."""

    name: str
    revision: str
    since: float
    at: float
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class DesiredBundle:
    """What the region serves, and since when."""

    revision: str
    since: float


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Seconds that an edge may stay on an old revision, and that it may be silent."""

    drift: float
    silence: float


@dataclass(frozen=True, slots=True)
class EdgeState:
    """How an edge stands to what is desired of it."""

    status: edge_pb2.EdgeStatus.ValueType
    reason: str = ""
    message: str = ""


def standing(heard: EdgeReport, desired: DesiredBundle, now: float, limits: EdgeLimits) -> EdgeState:
    """What is to be said of an edge at `now`; without word of it nothing is claimed."""
    running = f"revision {heard.revision}" if heard.revision else "no policy, and refuses everything"
    if now - heard.at > limits.silence:
        text = f"{heard.name} was last heard {now - heard.at:.0f} s ago; it then ran {running}."
        return EdgeState(edge_pb2.EDGE_STATUS_UNKNOWN, "EDGE_SILENT", text)
    if heard.refusal:
        text = f"{heard.name} refuses the newest bundle and runs {running}: {heard.refusal}"
        return EdgeState(edge_pb2.EDGE_STATUS_REFUSED, "EDGE_BUNDLE_REFUSED", text)
    if heard.revision == desired.revision:
        return EdgeState(edge_pb2.EDGE_STATUS_IN_FORCE)
    late = now - desired.since
    if late > limits.drift:
        text = f"{heard.name} runs {running}, {late:.0f} s after revision {desired.revision} was made."
        return EdgeState(edge_pb2.EDGE_STATUS_DRIFTING, "EDGE_DRIFT", text)
    return EdgeState(edge_pb2.EDGE_STATUS_UPDATING)
