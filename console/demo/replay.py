"""Were the missed tasks replayed in sequence? Read from the tasks and their traces."""

from __future__ import annotations

from collections import defaultdict

from console.cli.commands.trace import read
from console.cli.rows import Row
from console.demo.state import Demo, expect


def in_sequence(demo: Demo, correlation_ids: list[str], region: str) -> str:
    """Check that `region` executed the tasks of these changes in sequence; returns the count in words.

    Raises NotHeld. Lanes are independent by design and a region works at several Systems at once, so each System's
    tasks of one lane are checked in themselves; superseded tasks are skipped.
    """
    executed = _executed(demo, correlation_ids, region)
    tasks = [
        row
        for correlation_id in correlation_ids
        for row in demo.rows("tasks", region=region, correlation_id=correlation_id)
    ]
    scopes: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in sorted(tasks, key=lambda row: row["sequence"]):
        if row["id"] in executed:
            scopes[row["lane"], scope(row["resource"])].append(row)
    done = sum(map(len, scopes.values()))
    expect(done > 0, "no missed task was executed")
    for rows in scopes.values():
        times = [executed[row["id"]] for row in rows]
        late = next((row for row, a, b in zip(rows[1:], times, times[1:], strict=False) if b < a), None)
        expect(late is None, f"task {late['id'] if late else ''} was executed before an earlier one")
    skipped = sum(row["state"] == "superseded" for row in tasks)
    return f"{done} tasks in sequence, {skipped} superseded"


def scope(resource: str) -> str:
    """The System that a resource belongs to; for others the resource itself."""
    return "/".join(resource.split("/")[:4])


def _executed(demo: Demo, correlation_ids: list[str], region: str) -> dict[str, str]:
    return {
        hop["task_id"]: hop["time"]
        for correlation_id in correlation_ids
        for hop in read(demo.connection, correlation_id)["hops"]
        if hop["stage"] == "execute" and hop["region"] == region and hop["time"]
    }
