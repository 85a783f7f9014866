"""Requests that take two people, as rows and in sentences."""

from __future__ import annotations

import time

from orbital.v1 import approval_pb2 as api
from orbital.v1.task_pb2 import KeyState

from console.cli.moments import age, iso
from console.cli.render import count
from console.cli.rows import Row, word


def row(one: api.Approval) -> Row:
    """A request, and what became of it; every kind has the same fields, and those of another kind are empty."""
    kind = one.WhichOneof("action") or "unknown"
    restoration, decommission, removal = one.restoration, one.decommission, one.removal
    return {
        "id": one.id,
        "kind": kind,
        "subject": one.subject,
        "state": word(api.ApprovalState, one.state, "APPROVAL_STATE"),
        "reason": one.reason,
        "asked_by": one.asked_by,
        "asked_at": iso(one.ask_time),
        "expires_at": iso(one.expire_time),
        "decided_by": one.decided_by,
        "decided_at": iso(one.decide_time),
        "decline_reason": one.decline_reason,
        "regions": list(restoration.regions or removal.regions),
        "tenant": restoration.tenant,
        "generation": restoration.generation,
        "links": list(restoration.links),
        "services": restoration.services,
        "region": decommission.region,
        "placements": decommission.placements,
        "tenants": decommission.tenants,
        "unproven": decommission.unproven,
        "connected": decommission.connected,
        "last_contact_at": iso(decommission.last_contact_at),
        "serve_until": iso(decommission.serve_until),
        "lost": [
            {
                "resource": each.resource,
                "observed_generation": each.observed_generation,
                "desired_generation": each.desired_generation,
                "key_state": word(KeyState, each.key_state, "KEY_STATE"),
            }
            for each in decommission.lost
        ],
        "change": removal.change,
        "removed": removal.removed,
        "total": removal.total,
        "resources": list(removal.resources),
    }


def name(asked: Row) -> str:
    """What a person types to approve it: the tenant's, the region's or the resource's last name."""
    return str(asked["subject"]).split(" ", 1)[0].rpartition("/")[2]


def verb(asked: Row) -> str:
    """What is done to the subject, in a word or two."""
    if asked["kind"] == "removal":
        return "retire resources of" if asked["change"] == "retire" else "take placements out of"
    return "restore" if asked["kind"] == "restoration" else "decommission"


def told(asked: Row) -> list[str]:
    """What it does, in sentences."""
    known = {"restoration": _restoration, "decommission": _decommission, "removal": _removal}
    return known.get(asked["kind"], _unknown)(asked)


def _unknown(_asked: Row) -> list[str]:
    return ["This version does not know what was asked for. Do not approve it before you have updated."]


def _restoration(asked: Row) -> list[str]:
    regions = ", ".join(asked["regions"]) or "none"
    where = f"{count(len(asked['regions']), 'region')} ({regions})"
    what = f"{count(len(asked['links']), 'link')} and {count(asked['services'], 'service')}"
    return [f"{asked['tenant']} comes back in {where}, with {what}."]


def _decommission(asked: Row) -> list[str]:
    here = f"{count(asked['placements'], 'placement')} of {count(asked['tenants'], 'tenant')}"
    lines = [f"{asked['region']} has {here}; {asked['unproven']} revocations and purges are not proven there."]
    if asked["connected"]:
        lines.append("It is connected now. If it is not gone, let what it has leave it: orbital apply.")
    elif asked["last_contact_at"]:
        heard = age(asked["last_contact_at"], time.time())
        until = f"; it may serve until {asked['serve_until']}" if asked["serve_until"] else ""
        lines.append(f"It was last heard {heard}{until}.")
    else:
        lines.append("It was never heard of.")
    return lines


def _removal(asked: Row) -> list[str]:
    regions = ", ".join(asked["regions"]) or "no region"
    if asked["change"] == "retire":
        lines = [f"{asked['removed']} of {asked['total']} resources of {asked['subject']} are retired in {regions}."]
    else:
        lines = [f"{asked['removed']} of {asked['total']} placements of {asked['subject']} leave {regions}."]
    lines.append("Their keys are purged there, and nothing brings back what they encrypted.")
    more = asked["removed"] - len(asked["resources"]) if asked["change"] == "retire" else 0
    lines.append(", ".join(asked["resources"]) + (f" and {more} more" if more > 0 else ""))
    return lines
