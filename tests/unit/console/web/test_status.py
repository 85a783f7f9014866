"""The two axes of a region's state, and which regions come first."""

import pytest

from console.cli import rows
from console.web import status


def region(name="eu10", **changes):
    row = {
        "name": name, "area": "eu", "labels": {"tier": "production"}, "status": "healthy", "status_reason": "",
        "drifting": 0, "stalled": 0, "held_lanes": [], "behind_since": None,
    }  # fmt: skip
    row |= changes
    row["convergence"] = rows.convergence(row["drifting"], row["stalled"], row["held_lanes"])
    return status.told(row)


@pytest.mark.parametrize(
    ("changes", "convergence", "worst"),
    [
        ({}, "converged", "quiet"),
        ({"drifting": 2}, "converging", "converging"),
        ({"drifting": 2, "held_lanes": [2]}, "held", "held"),
        ({"drifting": 2, "stalled": 1, "held_lanes": [2]}, "drifting", "drifting"),
        ({"held_lanes": [2]}, "converged", "quiet"),
        ({"drifting": 2, "stalled": 1, "status": "unknown"}, "drifting", "unknown"),
        ({"status": "degraded"}, "converged", "degraded"),
    ],
)
def test_axes_never_merge(changes, convergence, worst):
    found = region(**changes)
    assert (found["convergence"], found["worst"]) == (convergence, worst)


def test_worst_come_first_and_quiet_ones_not_at_all():
    rows = [
        region("calm"),
        region("late", drifting=1),
        region("odd", status="unknown"),
        region("bad", status="out_of_sync"),
    ]
    assert [one["name"] for one in status.worst_first(rows)] == ["bad", "odd", "late"]
    assert status.counts(rows)["quiet"] == 1
    assert list(status.counts([])) == list(status.BADNESS)


def test_selection_needs_every_word_somewhere():
    rows = [region("eu10"), region("us20", area="us", status="out_of_sync", status_reason="HSM_UNREACHABLE")]
    assert [one["name"] for one in status.matching(rows, "hsm US", "", "")] == ["us20"]
    assert [one["name"] for one in status.matching(rows, "tier=production", "eu", "")] == ["eu10"]
    assert status.matching(rows, "", "eu", "out_of_sync") == []
    assert [one["name"] for one in status.matching(rows, "", "", "converged")] == ["eu10", "us20"]
