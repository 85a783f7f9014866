"""CPU time of each process of a stack, its children included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil


def cpu_seconds(state: Mapping[str, Any]) -> dict[str, float]:
    """User and system CPU seconds so far, by the part's name."""
    return {name: _tree(part["pid"]) for name, part in state["parts"].items() if part.get("pid")}


def _tree(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own(member) for member in family)


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # What ended children used counts too: PostgreSQL may replace a worker meanwhile.
    return float(times.user + times.system + times.children_user + times.children_system)
