"""Edge policies: what a valid one looks like, how its rules read in a difference; what regions say of their edges."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableSequence, Sequence

from orbital.v1.edge_pb2 import Edge, EdgeStatus, Use
from orbital.v1.resource_pb2 import EdgeEffect, EdgeOperation, EdgePolicySpec, EdgeRule

from runtime.errors import Invalid
from runtime.fields import check_length, check_name
from runtime.wellknown import label

MAX_RULES = 200  # an edge compares each call with those of its tenant
MAX_LISTED = 100  # names in one rule, for the same reason
MAX_CALLER = 200  # characters of a SPIFFE ID
MAX_EDGES = 1000  # edges of one region in one observation
MAX_USES = 1000  # Systems in one observation: the busiest
# A region speaks of its edges every five seconds.
SILENT_SECONDS = 20.0
# What stands before "/*" is a whole segment, so that acme does not stand for acme-two.
CALLER = re.compile(r"spiffe://orbital(/[A-Za-z0-9._-]+)*(/[A-Za-z0-9._-]+|/\*)")


def check_rules(spec: EdgePolicySpec, field: str) -> None:
    """Put the rules' lists in order; raises Invalid naming the field that is wrong."""
    check_length(len(spec.rules), 1, MAX_RULES, f"{field}.rules", "rules")
    first: dict[str, int] = {}
    for index, rule in enumerate(spec.rules):
        where = f"{field}.rules[{index}]"
        check_name(rule.name, f"{where}.name")
        if rule.name in first:
            raise Invalid(
                f"{where}.name: {rule.name!r} is there twice, first as rules[{first[rule.name]}]",
                reason="DUPLICATE",
                field=f"{where}.name",
            )
        first[rule.name] = index
        _rule(rule, where)


def _rule(rule: EdgeRule, where: str) -> None:
    if rule.effect not in EdgeEffect.values() or not rule.effect:
        raise Invalid(f"{where}.effect is {rule.effect}; expected 1 or 2", field=f"{where}.effect")
    _ordered(rule.callers, f"{where}.callers", check_caller)
    for name in ("tenants", "systems", "services"):
        _ordered(getattr(rule, name), f"{where}.{name}", check_name)
    for index, operation in enumerate(rule.operations):
        if operation not in EdgeOperation.values() or not operation:
            here = f"{where}.operations[{index}]"
            raise Invalid(f"{here} is {operation}; expected 1 to 4", field=here)
    operations = sorted(set(rule.operations))
    del rule.operations[:]
    rule.operations.extend(operations)


def _ordered(listed: MutableSequence[str], where: str, check: Callable[[str, str], str]) -> None:
    check_length(len(listed), 0, MAX_LISTED, where, "items")
    for index, item in enumerate(listed):
        check(item, f"{where}[{index}]")
    items = sorted(set(listed))
    del listed[:]
    listed.extend(items)


def check_caller(caller: str, field: str) -> str:
    """`caller`, if it is a SPIFFE ID of this mesh, or stands for all below one."""
    if len(caller) > MAX_CALLER or not CALLER.fullmatch(caller):
        raise Invalid(
            f"{field} is {caller[:MAX_CALLER]!r}; expected spiffe://orbital/…, its last segment '*' for all below it",
            reason="INVALID_CALLER",
            field=field,
        )
    return caller


def written(rules: Sequence[EdgeRule]) -> dict[str, str]:
    """Rule name → the rule in a line, as people read it."""
    return {rule.name: _line(rule) for rule in rules}


def _line(rule: EdgeRule) -> str:
    words = [label(EdgeEffect, rule.effect, "EDGE_EFFECT_").lower()]
    operations = [label(EdgeOperation, each, "EDGE_OPERATION_").lower() for each in rule.operations]
    listed = {
        "callers": rule.callers,
        "tenants": rule.tenants,
        "systems": rule.systems,
        "services": rule.services,
        "operations": [each.replace("_", "-") for each in operations],
    }
    return " ".join([*words, *(f"{name}={','.join(items)}" for name, items in listed.items() if items)])


def check_observed(edges: Sequence[Edge]) -> None:
    """Raise Invalid naming the field of a list of edges that cannot be stored."""
    check_length(len(edges), 0, MAX_EDGES, "edges", "items")
    seen: set[str] = set()
    for index, edge in enumerate(edges):
        where = f"edges[{index}]"
        check_name(edge.name, f"{where}.name")
        if edge.name in seen:
            raise Invalid(f"{where}.name is {edge.name!r} a second time", field=f"{where}.name")
        seen.add(edge.name)
        check_length(len(edge.region), 0, 0, f"{where}.region")
        check_length(len(edge.reason), 0, 100, f"{where}.reason")
        check_length(len(edge.message), 0, 2000, f"{where}.message")
        for name in ("revision", "desired_revision"):
            check_length(len(getattr(edge, name)), 0, 64, f"{where}.{name}")
        if edge.status not in EdgeStatus.values() or not edge.status:
            raise Invalid(f"{where}.status is {edge.status}; expected 1 to 5", field=f"{where}.status")


def check_uses(uses: Sequence[Use]) -> None:
    """Raise Invalid naming the field of a list of uses that cannot be stored."""
    check_length(len(uses), 0, MAX_USES, "uses", "items")
    for index, use in enumerate(uses):
        check_name(use.tenant, f"uses[{index}].tenant")
        check_name(use.system, f"uses[{index}].system")


def unheard(edge: Edge, seconds: float) -> None:
    """Say of an edge that its region is silent: what was in force is known, what is, is not."""
    edge.status, edge.reason = EdgeStatus.EDGE_STATUS_UNKNOWN, "REGION_SILENT"
    edge.message = f"Its region has said nothing of its edges for {seconds:.0f} s."
