"""The journal on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import Transport

from region.adapters.journal import parking
from region.adapters.journal.lock import only_writer
from region.adapters.journal.marks import SqliteMarks, Unmarked, held_body, set_mark
from region.adapters.sqlite import Database, open_database
from region.domain.mark import StateMark
from region.domain.retry import FAR
from region.domain.work import Entry, Held, Settled
from region.ports.inspecting import FailingTask, LaneCounts
from region.ports.marks import Marker
from runtime.kinds import KEYLESS
from runtime.logs import get_logger
from runtime.page import LARGEST

log = get_logger(__name__)

SCHEMA = Path(__file__).with_name("schema.sql")
LAST_BEAT = "last_beat"
IMMEDIATE = 0
PRUNE_CHUNK = 5000
# Two weeks of a head a minute.
HEADS_KEPT = 20_000

INSERT = "INSERT OR IGNORE INTO tasks (id, lane, sequence, resource, body, received_at) VALUES (?, ?, ?, ?, ?, ?)"
REPORT_AGAIN = """
INSERT INTO reports (lane, report)
SELECT lane, body FROM tasks WHERE settled = 1 AND outcome IN (?, ?) AND id IN (SELECT value FROM json_each(?))"""
ARRIVE = """
INSERT OR IGNORE INTO arrivals (task_id, path, at) SELECT value, ?, ? FROM json_each(?) WHERE true RETURNING task_id"""
ARRIVALS = "SELECT task_id, path, at FROM arrivals WHERE task_id IN (SELECT value FROM json_each(?)) ORDER BY at"
REPORT_COPIES = """
INSERT INTO reports (lane, report)
SELECT lane, body FROM tasks WHERE settled = 1 AND id IN (SELECT value FROM json_each(?))"""
TRY_AGAIN = """
UPDATE tasks SET settled = 0, body = ?, outcome = 0, due_at = 0, attempts = 0, reason = '', awaits = ''
WHERE id = ? AND (settled = 2 OR (settled = 1 AND outcome NOT IN (?, ?)))"""
# As it came last: it may have been cancelled.
SAY_AGAIN = "UPDATE tasks SET body = ?, reason = '', due_at = 0 WHERE settled = 0 AND id = ?"
DUE = """
SELECT t.row, t.resource, t.body, t.received_at, t.attempts, t.reason, coalesce(f.failures, 0),
    h.generation, h.kind, h.state, h.version, h.body
FROM tasks t LEFT JOIN held h ON h.resource = t.resource LEFT JOIN failing f ON f.task_id = t.id
WHERE t.lane = ?1 AND t.settled = 0 AND (t.due_at <= ?2 OR t.due_at > ?2 + ?4) ORDER BY t.sequence LIMIT ?3"""
HEADS = """
SELECT sequence, head FROM audit_heads WHERE sequence <= ? ORDER BY sequence DESC, head DESC LIMIT ? OFFSET ?
"""
FORGET_HEADS = """
DELETE FROM audit_heads WHERE sequence <= (SELECT sequence FROM audit_heads ORDER BY sequence DESC LIMIT 1 OFFSET ?)"""
HOLD = """
INSERT INTO held (resource, generation, kind, state, version, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (resource) DO UPDATE SET generation = excluded.generation, kind = excluded.kind, state = excluded.state,
    version = excluded.version, body = excluded.body WHERE excluded.generation >= held.generation"""
SETTLE = "UPDATE tasks SET settled = 1, body = ?, outcome = ?, settled_at = ?, awaits = '' WHERE row = ?"
WAIT = "UPDATE tasks SET due_at = ?, attempts = attempts + 1, reason = ?, awaits = ? WHERE row = ?"
RELEASE = """
UPDATE tasks SET due_at = 0, awaits = '' WHERE awaits <> '' AND awaits IN (SELECT value FROM json_each(?))"""

ABANDON = """
UPDATE tasks SET settled = 1, outcome = ?, settled_at = ?, reason = ?, awaits = '' WHERE row = ?"""
KEEP_TASK = "INSERT INTO aside (lane, kind, body, reason, at) SELECT lane, 'task', body, ?, ? FROM tasks WHERE row = ?"
KEEP_REPORT = """
INSERT INTO aside (lane, kind, body, reason, at) SELECT lane, 'report', report, ?, ? FROM reports WHERE id = ?"""
FORGET_ASIDE = "DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - ?"
ASIDE_KEPT = 1000
UNREADABLE = "UNREADABLE"

PENDING = "SELECT count(*) FROM tasks WHERE lane = ? AND settled = 0"
OLDEST = "SELECT received_at FROM tasks WHERE lane = ? AND settled = 0 ORDER BY sequence LIMIT 1"
# A number that is read, not counted: there may be tens of thousands.
UNREPORTED = "SELECT coalesce(max(id) - min(id) + 1, 0) FROM reports WHERE lane = ?"
# Of the first ones, so that a long journal costs no more. What waits for another resource is not in trouble itself.
STUCK = """
SELECT body, attempts, reason FROM (
    SELECT body, attempts, reason, awaits FROM tasks WHERE lane = ? AND settled = 0 ORDER BY sequence LIMIT 500)
WHERE attempts > 0 AND awaits = '' ORDER BY attempts DESC LIMIT 1"""


class SqliteJournal(SqliteMarks):
    """See region.ports.journal.Journal. Once it has a `marker`, effects are kept with the mark that it gives them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.marker: Marker = Unmarked()

    async def receive(
        self,
        lane: int,
        tasks: Sequence[pb.Task],
        now: float,
        path: Transport.ValueType = Transport.TRANSPORT_UNSPECIFIED,
    ) -> int:
        """See the port."""
        rows = [(task.id, lane, task.sequence, task.resource.name, task.SerializeToString(), now) for task in tasks]

        def work() -> int:
            with self._database.transaction() as sql:
                new = sql.executemany(INSERT, rows).rowcount
                copies: set[str] = set()
                if lane == IMMEDIATE and path:
                    arrived = (path, now, _json(row[0] for row in rows))
                    copies.update(row[0] for row in sql.execute(ARRIVE, arrived).fetchall())
                if new < len(rows):
                    # Seen before: rows that this call inserted are pending and untried, so none of these touch them.
                    sql.execute(REPORT_COPIES, (_json(copies),))
                    again = [row for row in rows if row[0] not in copies]
                    ids = _json(row[0] for row in again)
                    sql.execute(REPORT_AGAIN, (pb.OUTCOME_DONE, pb.OUTCOME_STALE, ids))
                    sql.executemany(SAY_AGAIN, [(row[4], row[0]) for row in again])
                    sql.executemany(TRY_AGAIN, [(row[4], row[0], pb.OUTCOME_DONE, pb.OUTCOME_STALE) for row in again])
                parking.disturb(sql, _json(row[3] for row in rows))
                return new

        return await self._database.call(work)

    async def arrivals(self, tasks: Sequence[str]) -> Mapping[str, Sequence[pb.Arrival]]:
        """See the port."""
        found: dict[str, list[pb.Arrival]] = {}
        for task, path, at in await self._database.call(
            lambda: self._database.sql.execute(ARRIVALS, (_json(tasks),)).fetchall()
        ):
            arrival = pb.Arrival(transport=path)
            arrival.time.FromNanoseconds(int(at * 1e9))
            found.setdefault(task, []).append(arrival)
        return found

    async def due(self, lane: int, now: float, limit: int, taken: Collection[int] = ()) -> list[Entry]:
        """See the port."""

        def work() -> list[Any]:
            parking.release(self._database.sql, lane, now)
            return self._database.sql.execute(DUE, (lane, now, limit, FAR)).fetchall()

        rows = await self._database.call(work)
        found, broken = [], []
        for row in rows:
            if row[0] in taken:
                continue
            try:
                found.append(_entry(*row))
            except DecodeError:
                broken.append(row[0])
        if broken:
            await self.abandon(broken, UNREADABLE, now)
        return found

    async def abandon(self, rows: Sequence[int], reason: str, now: float) -> None:
        """See the port."""
        log.error("tasks_set_aside", rows=list(rows)[:10], count=len(rows), reason=reason)

        def work() -> None:
            with self._database.transaction() as sql:
                sql.executemany(KEEP_TASK, [(reason, now, row) for row in rows])
                sql.executemany(ABANDON, [(pb.OUTCOME_FAILED, now, reason, row) for row in rows])
                sql.execute(FORGET_ASIDE, (ASIDE_KEPT,))

        await self._database.call(work)

    async def set_aside(self, reports: Sequence[int], reason: str, now: float) -> None:
        """See the port."""
        log.error("reports_set_aside", reports=list(reports)[:10], count=len(reports), reason=reason)

        def work() -> None:
            with self._database.transaction() as sql:
                sql.executemany(KEEP_REPORT, [(reason, now, each) for each in reports])
                sql.executemany("DELETE FROM reports WHERE id = ?", [(each,) for each in reports])
                sql.execute(FORGET_ASIDE, (ASIDE_KEPT,))

        await self._database.call(work)

    async def next_due(self, lane: int, now: float) -> float | None:
        """See the port."""
        query = "SELECT min(due_at) FROM tasks WHERE lane = ? AND settled = 0 AND due_at > ?"
        found: float | None = (
            await self._database.call(lambda: self._database.sql.execute(query, (lane, now)).fetchone())
        )[0]
        return found

    async def settle(self, lane: int, settled: Sequence[Settled], now: float) -> None:
        """See the port."""
        held, over, waits, reports, done = [], [], [], [], []
        receipts = [(each.entry.task.id, each.receipt) for each in settled if each.receipt]
        for each in settled:
            entry, result = each.entry, each.result
            if result.waiting:
                waits.append((each.due_at, result.reason, result.awaits, entry.row))
                if result.reason != entry.reason:
                    reports.append((lane, each.report))
                continue
            reports.append((lane, each.report))
            if result.outcome == pb.OUTCOME_PARKED:
                continue
            over.append((each.report, result.outcome, now, entry.row))
            if result.outcome == pb.OUTCOME_DONE:
                done.append(entry.resource)
                body = held_body(entry.task)
                held.append((entry.resource, entry.generation, entry.task.kind, result.state, result.key_version, body))

        def work(mark: StateMark | None) -> None:
            with self._database.transaction() as sql:
                set_mark(sql, mark)
                sql.executemany(HOLD, held)
                sql.executemany(SETTLE, over)
                sql.executemany(WAIT, waits)
                parking.keep(sql, settled)
                sql.executemany("INSERT OR IGNORE INTO receipts (task_id, receipt) VALUES (?, ?)", receipts)
                sql.executemany("INSERT INTO reports (lane, report) VALUES (?, ?)", reports)
                if sql.execute("SELECT 1 FROM tasks WHERE awaits <> '' LIMIT 1").fetchone():
                    sql.execute(RELEASE, (orjson.dumps(done).decode(),))

        if any(each.result.outcome == pb.OUTCOME_DONE and each.entry.task.kind not in KEYLESS for each in settled):
            async with self.marker.advance() as mark:
                await self._database.call(lambda: work(mark))
        else:
            await self._database.call(lambda: work(None))

    async def tell(self, lane: int, reports: Sequence[bytes], receipts: Sequence[tuple[str, bytes]] = ()) -> None:
        """See the port."""

        def work(mark: StateMark | None) -> None:
            with self._database.transaction() as sql:
                set_mark(sql, mark)
                sql.executemany("INSERT OR IGNORE INTO receipts (task_id, receipt) VALUES (?, ?)", receipts)
                sql.executemany("INSERT INTO reports (lane, report) VALUES (?, ?)", [(lane, one) for one in reports])

        async with self.marker.advance() as mark:
            await self._database.call(lambda: work(mark))

    async def held(self) -> Mapping[str, int]:
        """See region.ports.journal.JournalReader."""
        query = "SELECT resource, generation FROM held"
        return dict(await self._database.call(lambda: self._database.sql.execute(query).fetchall()))

    async def receipt(self, task_id: str) -> bytes:
        """See the port."""
        query = "SELECT receipt FROM receipts WHERE task_id = ?"
        row = await self._database.call(lambda: self._database.sql.execute(query, (task_id,)).fetchone())
        return row[0] if row else b""

    async def unsent(self, lane: int, after: int, limit: int) -> list[tuple[int, bytes]]:
        """See the port."""
        query = "SELECT id, report FROM reports WHERE lane = ? AND id > ? ORDER BY id LIMIT ?"
        return await self._database.call(lambda: self._database.sql.execute(query, (lane, after, limit)).fetchall())

    async def accepted(self, lane: int, first: int, last: int) -> None:
        """See the port."""

        def work() -> None:
            with self._database.transaction() as sql:
                sql.execute("DELETE FROM reports WHERE lane = ? AND id BETWEEN ? AND ?", (lane, first, last))

        await self._database.call(work)

    async def last_beat(self, now: float) -> float:
        """See the port."""

        def work() -> float:
            with self._database.transaction() as sql:
                sql.execute("INSERT OR IGNORE INTO facts (name, value) VALUES (?, ?)", (LAST_BEAT, now))
                found: float = sql.execute("SELECT value FROM facts WHERE name = ?", (LAST_BEAT,)).fetchone()[0]
                return found

        return await self._database.call(work)

    async def beat(self, at: float) -> None:
        """See the port."""

        def work() -> None:
            with self._database.transaction() as sql:
                sql.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (LAST_BEAT, at))

        await self._database.call(work)

    async def keep_audit_head(self, sequence: int, head: bytes) -> None:
        """See the port."""

        def work() -> None:
            with self._database.transaction() as sql:
                sql.execute("INSERT OR IGNORE INTO audit_heads (sequence, head) VALUES (?, ?)", (sequence, head))
                sql.execute(FORGET_HEADS, (HEADS_KEPT,))

        await self._database.call(work)

    async def audit_heads(self, limit: int, up_to: int = LARGEST, skipped: int = 0) -> list[tuple[int, bytes]]:
        """See the port."""
        given = (up_to, limit, skipped)
        return await self._database.call(lambda: self._database.sql.execute(HEADS, given).fetchall())

    async def counts(self, lane: int) -> LaneCounts:
        """See the port."""

        def work() -> LaneCounts:
            sql = self._database.sql
            (pending,) = sql.execute(PENDING, (lane,)).fetchone()
            (unreported,) = sql.execute(UNREPORTED, (lane,)).fetchone()
            oldest = sql.execute(OLDEST, (lane,)).fetchone()
            row = sql.execute(STUCK, (lane,)).fetchone() or parking.one(sql, lane)
            return LaneCounts(pending, oldest and oldest[0], unreported, _stuck(*row) if row else None)

        return await self._database.call(work)

    async def fact(self, name: str, default: float) -> float:
        """See the port."""
        query = "SELECT value FROM facts WHERE name = ?"
        found = await self._database.call(lambda: self._database.sql.execute(query, (name,)).fetchone())
        return float(found[0]) if found else default

    async def keep_fact(self, name: str, value: float) -> None:
        """See the port."""

        def work() -> None:
            with self._database.transaction() as sql:
                sql.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

        await self._database.call(work)

    async def prune(self, before: float) -> int:
        """See the port."""
        cursor, gone = 0, 0
        await self._database.call(lambda: self._database.sql.execute("DELETE FROM arrivals WHERE at < ?", (before,)))
        await self._database.call(lambda: parking.forget(self._database.sql))
        while True:
            ends = await self._database.call(lambda after=cursor: self._chunk(after, before))  # type: ignore[misc]
            if ends is None:
                return gone
            cursor, removed = ends
            gone += removed

    def _chunk(self, after: int, before: float) -> tuple[int, int] | None:
        """(last row, removed) of the next rows; None at the end. Chunks let other work into the thread."""
        query = "SELECT max(row), min(received_at) FROM (SELECT row, received_at FROM tasks WHERE row > ? LIMIT ?)"
        last, oldest = self._database.sql.execute(query, (after, PRUNE_CHUNK)).fetchone()
        if last is None or oldest >= before:
            return None
        with self._database.transaction() as sql:
            removal = "DELETE FROM tasks WHERE row > ? AND row <= ? AND settled = 1 AND settled_at < ?"
            return last, sql.execute(removal, (after, last, before)).rowcount


def _json(names: Iterable[str]) -> str:
    return orjson.dumps(list(names)).decode()


def _stuck(body: bytes, attempts: int, reason: str) -> FailingTask:
    try:
        task = pb.Task.FromString(body)
    except DecodeError:
        return FailingTask("", "", UNREADABLE, attempts, "")
    return FailingTask(task.id, task.resource.name, reason, attempts, task.correlation_id)


def _entry(
    row: int, resource: str, body: bytes, received_at: float, attempts: int, reason: str, failures: int, *held: Any
) -> Entry:
    task = pb.Task.FromString(body)
    known = None if held[0] is None else Held(*held)
    return Entry(row, task, resource, task.resource.generation, received_at, attempts, reason, known, failures)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[SqliteJournal]:
    """Open, or make, the journal at `path`, readable by this user alone; no other process writes it meanwhile."""
    # Hot pages are rewritten often: copying them into the database seldom, and from memory, halves the work.
    pragmas = ("wal_autocheckpoint = 8000", "cache_size = -32000")
    async with only_writer(path), open_database(path, SCHEMA, "journal", *pragmas) as database:
        yield SqliteJournal(database)
