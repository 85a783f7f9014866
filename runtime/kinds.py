"""What is true of each task kind, as the contract has it: the options in proto/orbital/v1/task.proto."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orbital.v1 import task_pb2 as pb

# The names of resources, by spec.
NAMES = {
    "tenant": r"tenants/[^/\s]+",
    "system": r"tenants/[^/\s]+/systems/[^/\s]+",
    "service": r"tenants/[^/\s]+/systems/[^/\s]+/services/[^/\s]+",
    "link": r"tenants/[^/\s]+/links/[^/\s]+",
    "edge_policy": r"edge-policies/[^/\s]+",
}
# What belongs to no tenant.
SHARED = {"edge_policy"}


def _option(extension: Any) -> Mapping[pb.TaskKind.ValueType, Any]:
    return {
        pb.TaskKind.ValueType(value.number): value.GetOptions().Extensions[extension]
        for value in pb.TaskKind.DESCRIPTOR.values
        if value.number
    }


def _having(extension: Any) -> tuple[pb.TaskKind.ValueType, ...]:
    return tuple(kind for kind, has in _option(extension).items() if has)


KIND_WORDS: Mapping[int, str] = {
    value.number: value.name.removeprefix("TASK_KIND_") for value in pb.TaskKind.DESCRIPTOR.values
}
LANES: Mapping[int, int] = {kind: int(lane) for kind, lane in _option(pb.lane).items()}
ABOUT: Mapping[int, frozenset[str]] = {kind: frozenset(specs) for kind, specs in _option(pb.about).items()}
REVOKING = _having(pb.revokes)
RETIRING = _having(pb.retires)
REINSTATING = _having(pb.reinstates)
KEYLESS = _having(pb.keyless)


def table() -> dict[str, dict[str, Any]]:
    """Every kind by its word, as policies have it: its lane, whether it revokes, and the resources it may be about."""
    return {
        KIND_WORDS[kind]: {
            "lane": lane,
            "revokes": kind in REVOKING,
            "of_tenant": not ABOUT[kind] & SHARED,
            "resource": "^(?:{})$".format("|".join(NAMES[spec] for spec in NAMES if spec in ABOUT[kind])),
        }
        for kind, lane in LANES.items()
    }
