"""What policy engines decided and what was refused, as rows of plain values; see rows.py."""

from __future__ import annotations

from collections.abc import Iterable

from orbital.v1 import policy_pb2 as policy
from orbital.v1 import registry_pb2 as registry

from console.cli.moments import iso
from console.cli.rows import Row


def dead_letter(one: registry.DeadLetter) -> Row:
    """A message that could not be read."""
    return {
        "id": one.id,
        "region": one.region,
        "lane": one.lane,
        "reason": one.reason,
        "size_bytes": one.size_bytes,
        "created_at": iso(one.create_time),
    }


def security_event(one: registry.SecurityEvent) -> Row:
    """Something that was forged, altered, replayed or used after its end."""
    return {
        "id": one.id,
        "region": one.region,
        "subject": one.subject,
        "reason": one.reason,
        "message": one.message,
        "principal": one.principal,
        "count": one.count,
        "first_at": iso(one.first_time),
        "last_at": iso(one.last_time),
    }


def denial(one: registry.Denial) -> Row:
    """A denial that a policy engine reported."""
    return {
        "decision_id": one.decision_id,
        "policy": one.policy,
        "principal": one.principal,
        "action": one.action,
        "reason": one.reason,
        "message": one.message,
        "correlation_id": one.correlation_id,
        "engine": one.engine,
        "count": one.count or 1,
        "created_at": iso(one.create_time),
        "last_at": iso(one.last_time if one.HasField("last_time") else one.create_time),
    }


def decision(one: policy.Decision) -> Row:
    """What a policy engine decided."""
    return {
        "decision_id": one.decision_id,
        "engine": one.engine,
        "policy": one.policy,
        "principal": one.principal,
        "action": one.action,
        "allowed": one.allowed,
        "denied": one.denied,
        "reason": one.reason,
        "revision": one.revision,
        "decided_at": iso(one.decide_time),
    }


# An engine that the control plane has not heard for so many seconds may run anything.
SILENT_SECONDS = 120.0


def silent(engines: Iterable[policy.Engine]) -> set[str]:
    """Names of those that were not heard for long, by the control plane's clock: some engine is heard all the time."""
    heard = {one.name: one.heard_time.seconds for one in engines}
    newest = max(heard.values(), default=0)
    return {name for name, at in heard.items() if newest - at > SILENT_SECONDS}


def engine(one: policy.Engine, served: str) -> Row:
    """A policy engine, and the bundle that it has in force."""
    return {
        "engine": one.name,
        "revision": one.revision,
        "current": bool(served) and one.revision == served,
        "since": iso(one.since),
        "heard_at": iso(one.heard_time),
        "error": one.error,
        "made": one.made,
        "received": one.received,
        "lost": one.lost,
    }
