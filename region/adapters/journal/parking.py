"""The tasks of a journal that failed by themselves, and those that are parked because they kept failing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from orbital.v1 import task_pb2 as pb

from region.domain.retry import LONGEST_PAUSE
from region.domain.work import Settled

PARK = """
UPDATE tasks SET settled = 2, due_at = ?, attempts = attempts + 1, reason = ?, awaits = '' WHERE row = ?"""
FAIL = """
INSERT INTO failing (task_id, failures) VALUES (?, 1) ON CONFLICT (task_id) DO UPDATE SET failures = failures + 1"""
RECOVER = "DELETE FROM failing WHERE task_id = ?"
DISTURB = """
UPDATE tasks SET settled = 0, due_at = 0 WHERE settled = 2 AND resource IN (SELECT value FROM json_each(?))"""
ENDS = """
SELECT (SELECT min(due_at) FROM tasks WHERE lane = ?1 AND settled = 2),
    (SELECT max(due_at) FROM tasks WHERE lane = ?1 AND settled = 2)"""
RELEASE = "UPDATE tasks SET settled = 0, due_at = 0 WHERE lane = ? AND settled = 2 AND (due_at <= ? OR due_at > ?)"
ONE = """
SELECT t.body, coalesce(f.failures, t.attempts), t.reason
FROM tasks t LEFT JOIN failing f ON f.task_id = t.id
WHERE t.lane = ? AND t.settled = 2 ORDER BY t.due_at LIMIT 1"""
FORGET = "DELETE FROM failing WHERE task_id NOT IN (SELECT id FROM tasks)"


def keep(sql: sqlite3.Connection, settled: Sequence[Settled]) -> None:
    """Count which tasks failed by themselves, and park those that are."""
    parked = [each for each in settled if each.result.outcome == pb.OUTCOME_PARKED]
    sql.executemany(PARK, [(each.due_at, each.result.reason, each.entry.row) for each in parked])
    sql.executemany(FAIL, [(each.entry.task.id,) for each in settled if each.result.failing])
    over = [each for each in settled if each.entry.failures and not (each.result.failing or each.result.waiting)]
    sql.executemany(RECOVER, [(each.entry.task.id,) for each in over])


def disturb(sql: sqlite3.Connection, resources: str) -> None:
    """Have parked tasks of these resources, a JSON list, due: one that comes is behind them, or supersedes them."""
    if sql.execute("SELECT 1 FROM tasks WHERE settled = 2 LIMIT 1").fetchone():
        sql.execute(DISTURB, (resources,))


def release(sql: sqlite3.Connection, lane: int, now: float) -> None:
    """Have parked tasks of the lane due whose time has come."""
    first, last = sql.execute(ENDS, (lane,)).fetchone()
    # A pause that ends later than any lasts was begun by a clock that was wrong.
    if first is not None and (first <= now or last > now + LONGEST_PAUSE):
        sql.execute(RELEASE, (lane, now, now + LONGEST_PAUSE))


def one(sql: sqlite3.Connection, lane: int) -> Any:
    """A parked task of the lane: its body, how often it failed, and its reason; None when there is none."""
    return sql.execute(ONE, (lane,)).fetchone()


def forget(sql: sqlite3.Connection) -> None:
    """Forget the failures of tasks that are not in the journal any more."""
    sql.execute(FORGET)
