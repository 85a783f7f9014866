"""Answers of the API as rows of plain values: the one model behind every form of output.

Fields are only ever added, never renamed or removed; enumerations are lower-case words, times RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Any

from orbital.v1 import edge_pb2 as edges
from orbital.v1 import flag_pb2 as flags
from orbital.v1 import registry_pb2 as registry
from orbital.v1 import resource_pb2 as resources
from orbital.v1 import task_pb2 as tasks
from orbital.v1.trace_pb2 import Trace

from console.cli.moments import iso, spell_duration
from runtime.wellknown import label, seconds

Row = dict[str, Any]


def word(enum: Any, value: int, prefix: str) -> str:
    """An enumeration's value as a lower-case word; "" for the unspecified one."""
    name = label(enum, value, f"{prefix}_").lower()
    return "" if name == "unspecified" else name


def segment(name: str, index: int) -> str:
    """The part of a resource name at `index`, or "" when it is not that long."""
    parts = name.split("/")
    return parts[index] if index < len(parts) else ""


def _stored(resource: resources.Resource, **fields: Any) -> Row:
    return {
        "name": resource.name.rpartition("/")[2],
        **fields,
        "resource": resource.name,
        "labels": dict(sorted(resource.labels.items())),
        "generation": resource.generation,
        "correlation_id": resource.correlation_id,
        "updated_at": iso(resource.update_time),
    }


def _placement_rule(selector: resources.Selector) -> dict[str, Any]:
    return {"regions": list(selector.regions), "match_labels": dict(sorted(selector.match_labels.items()))}


def region(one: registry.Region) -> Row:
    """A region as the control plane sees it."""
    spec = one.resource.region
    held = [each.lane for each in one.holds]
    return _stored(
        one.resource,
        area=spec.area,
        connected=one.connected,
        last_contact_at=iso(one.last_contact_at),
        placements=one.placements,
        drifting=one.drifting,
        status=word(flags.HealthStatus, one.status, "HEALTH_STATUS"),
        status_reason=one.status_reason,
        convergence=convergence(one.drifting, one.stalled, held),
        held_lanes=held,
        stalled=one.stalled,
        waiting=list(one.waiting) or [0, 0, 0],
        behind_since=iso(one.behind_since),
        policy_revisions=list(one.policy_revisions),
        holds=[{"lane": each.lane, "reason": each.reason, "since": iso(each.since)} for each in one.holds],
        rebuild=_rebuild(one.rebuild) if one.HasField("rebuild") else None,
        crypto_endpoint=spec.crypto_endpoint,
        transport=word(resources.Transport, spec.transport, "TRANSPORT") or "stream",
        path=word(resources.Transport, one.transport, "TRANSPORT"),
        revoked_at=iso(one.revocation.revoke_time),
        revoked_because=one.revocation.reason,
        revoked_by=one.revocation.actor,
    )


def _rebuild(one: registry.Rebuild) -> dict[str, Any]:
    return {
        "since": iso(one.begin_time),
        "stores": list(one.stores),
        "serving": one.serving,
        "replayed": one.replayed,
        "total": one.total,
        "rate": round(one.rate, 1),
        "remaining_seconds": round(seconds(one.remaining), 1) if one.HasField("remaining") else None,
    }


def convergence(behind: int, stalled: int, held_lanes: list[int]) -> str:
    """Converged; converging: behind and under way; held: policy holds a lane; drifting: something prevents it."""
    if not behind:
        return "converged"
    if stalled:
        return "drifting"
    return "held" if held_lanes else "converging"


def use(one: edges.Use) -> Row:
    """What a region served for a tenant, or for a System of it, in the last hour."""
    return {
        "region": one.region,
        "wraps": one.wraps,
        "unwraps": one.unwraps,
        "since": iso(one.since),
        "heard_at": iso(one.heard_at),
    }


def flag(one: flags.Flag) -> Row:
    """What is not as it should be in a region, and why."""
    return {
        "region": one.region,
        "where": one.region or "control plane",
        "component": one.component,
        "status": word(flags.HealthStatus, one.status, "HEALTH_STATUS"),
        "severity": word(flags.FlagSeverity, one.severity, "FLAG_SEVERITY"),
        "reason": one.reason,
        "message": one.message,
        "evidence": [{"name": each.name, "value": each.value, "time": iso(each.time)} for each in one.evidence],
        "since": iso(one.since),
        "next_check": iso(one.next_check),
        "correlation_id": one.correlation_id,
        "consequences": list(one.consequences),
        "effects": list(one.effects),
    }


def flag_change(one: flags.FlagChange) -> Row:
    """What became of a flag at some time."""
    return {
        "region": one.region,
        "component": one.component,
        "kind": word(flags.FlagChangeKind, one.kind, "FLAG_CHANGE_KIND"),
        "status": word(flags.HealthStatus, one.status, "HEALTH_STATUS"),
        "reason": one.reason,
        "changed_at": iso(one.change_time),
    }


def tenant(one: resources.Resource) -> Row:
    """A tenant."""
    spec = one.tenant
    lease = seconds(spec.lease)
    return _stored(
        one,
        display_name=spec.display_name,
        state=word(resources.TenantState, spec.state, "TENANT_STATE") or "active",
        placement=_placement_rule(spec.placement),
        lease=spell_duration(lease) if lease else None,
    )


def system(one: resources.Resource) -> Row:
    """A System."""
    return _stored(
        one,
        tenant=segment(one.name, 1),
        key_version=one.system.key_version,
        placement=_placement_rule(one.system.placement),
    )


def service(one: resources.Resource) -> Row:
    """A Service."""
    return _stored(one, tenant=segment(one.name, 1), system=segment(one.name, 3), key_version=one.service.key_version)


def link(one: resources.Resource) -> Row:
    """A Link."""
    spec = one.link
    state = word(resources.LinkState, spec.state, "LINK_STATE")
    return _stored(
        one,
        tenant=segment(one.name, 1),
        system=spec.system,
        provider=spec.provider,
        key=spec.key,
        state=state,
        shared_with=list(spec.shared_with),
    )


def edge_policy(one: resources.Resource) -> Row:
    """An edge policy."""
    rules = [
        {
            "name": rule.name,
            "effect": word(resources.EdgeEffect, rule.effect, "EDGE_EFFECT"),
            "callers": list(rule.callers),
            "tenants": list(rule.tenants),
            "systems": list(rule.systems),
            "services": list(rule.services),
            "operations": [
                word(resources.EdgeOperation, each, "EDGE_OPERATION").replace("_", "-") for each in rule.operations
            ],
        }
        for rule in one.edge_policy.rules
    ]
    return _stored(one, placement=_placement_rule(one.edge_policy.placement), rules=rules, rule_count=len(rules))


def edge(one: edges.Edge) -> Row:
    """An edge, and the policy that it has in force."""
    return {
        "region": one.region,
        "edge": one.name,
        "revision": one.revision,
        "since": iso(one.since),
        "desired_revision": one.desired_revision,
        "status": word(edges.EdgeStatus, one.status, "EDGE_STATUS"),
        "reason": one.reason,
        "message": one.message,
        "heard_at": iso(one.heard_at),
    }


def placement(one: registry.Placement) -> Row:
    """One resource in one region. JSON has the first ten of these fields."""
    return {
        "tenant": one.tenant,
        "resource": one.resource,
        "kind": word(registry.ResourceKind, one.kind, "RESOURCE_KIND"),
        "region": one.region,
        "desired_generation": one.desired_generation,
        "observed_generation": one.observed_generation,
        "state": word(registry.PlacementState, one.state, "PLACEMENT_STATE"),
        "reason": one.reason,
        "correlation_id": one.correlation_id,
        "updated_at": iso(one.updated_at),
        "message": one.message,
        "key_state": word(tasks.KeyState, one.key_state, "KEY_STATE"),
        "key_version": one.key_version,
        "name": f"{one.region}/{one.resource}",
        "leaving": one.leaving,
    }


def task(one: registry.TaskStatus) -> Row:
    """A task as the gateway knows it."""
    return {
        "id": one.id,
        "kind": label(tasks.TaskKind, one.kind, "TASK_KIND_"),
        "lane": one.lane,
        "sequence": one.sequence,
        "region": one.region,
        "tenant": one.tenant,
        "resource": one.resource,
        "generation": one.generation,
        "state": word(registry.TaskState, one.state, "TASK_STATE"),
        "reason": one.reason,
        "message": one.message,
        "correlation_id": one.correlation_id,
        "attempts": one.attempts,
        "created_at": iso(one.create_time),
        "updated_at": iso(one.update_time),
        "retry_at": iso(one.retry_time),
    }


def change(one: registry.Change) -> Row:
    """What a declaration does to one resource."""
    return {
        "resource": one.name,
        "action": {registry.CHANGE_ACTION_CREATE: "create", registry.CHANGE_ACTION_UPDATE: "update"}.get(
            one.action, "none"
        ),
        "from_generation": one.from_generation,
        "to_generation": one.to_generation,
        "fields": [{"path": field.path, "before": field.before, "after": field.after} for field in one.fields],
        "regions": one.regions,
    }


def job(one: registry.Job) -> Row:
    """The convergence of one change."""
    return {
        "correlation_id": one.correlation_id,
        "actor": one.actor,
        "action": one.action,
        "detail": one.detail,
        "created_at": iso(one.create_time),
        "state": word(registry.JobState, one.state, "JOB_STATE"),
        "ended_at": iso(one.end_time),
        "converged_at": iso(one.converge_time),
        "total": one.total,
        "converged": one.converged,
        "superseded": one.superseded,
        "superseded_by": list(one.superseded_by),
        "given_up": one.given_up,
        "lost_regions": list(one.lost_regions),
        "regions": [
            {
                "region": part.region,
                "behind": part.behind,
                "connected": part.connected,
                "last_contact_at": iso(part.last_contact_at),
                "reason": part.reason,
                "parked": part.parked,
            }
            for part in one.regions
            if part.behind
        ],
        "superseded_regions": [part.region for part in one.regions if part.superseded],
    }


def trace(one: Trace) -> Row:
    """Every hop of one change, in order of time."""
    return {
        "correlation_id": one.correlation_id,
        "actor": one.actor,
        "action": one.action,
        "converged": one.converged,
        "ended": one.ended,
        "superseded_by": list(one.superseded_by),
        "lost_regions": list(one.lost_regions),
        "cut": one.cut,
        "hops": [
            {
                "stage": hop.stage,
                "time": iso(hop.time),
                "process": hop.process,
                "region": hop.region,
                "task_id": hop.task_id,
                "resource": hop.resource,
                "kind": hop.kind.removeprefix("TASK_KIND_"),
                "lane": hop.lane if hop.task_id else None,
                "generation": hop.generation,
                "decision_id": hop.decision_id,
                "outcome": hop.outcome.removeprefix("OUTCOME_").lower(),
                "message": hop.message,
                "path": hop.path,
            }
            for hop in one.hops
        ],
    }
