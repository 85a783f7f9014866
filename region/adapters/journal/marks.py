"""The marks of a process's state in its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError
from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import Resource

from region.adapters.sqlite import Database
from region.domain.mark import StateMark

OWN, CONFIRMED = "own", "confirmed"
SET = "INSERT OR REPLACE INTO marks (name, term, epoch, sequence) VALUES (?, ?, ?, ?)"
GET = "SELECT term, epoch, sequence FROM marks WHERE name = ?"
# What the control plane drives again is then new here; what was never settled is still to be done.
START_OVER = ("DELETE FROM tasks WHERE settled = 1", "DELETE FROM held", "DELETE FROM reports", "DELETE FROM arrivals")


class Unmarked:
    """See region.ports.marks.Marker: a journal that nothing is compared with."""

    @asynccontextmanager
    async def advance(self) -> AsyncIterator[StateMark | None]:
        """There is no mark to keep."""
        yield None


class SqliteMarks:
    """See region.ports.marks.MarkJournal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark(self) -> StateMark | None:
        """The newest mark; None in a journal that has none yet."""
        return await self._database.call(lambda: read_mark(self._database.sql, OWN))

    async def resources(self) -> Sequence[bytes]:
        """What was done last of each resource, as its task said."""
        return await self._database.call(lambda: read_resources(self._database.sql))

    async def keep_mark(self, mark: StateMark) -> None:
        """Replace the mark by this one, durably."""
        await self._keep(OWN, mark)

    async def confirmed(self) -> StateMark | None:
        """The newest mark of this process that the control plane said it had."""
        return await self._database.call(lambda: read_mark(self._database.sql, CONFIRMED))

    async def keep_confirmed(self, mark: StateMark) -> None:
        """Replace what the control plane has confirmed, durably."""
        await self._keep(CONFIRMED, mark)

    async def start_over(self) -> None:
        """Forget what was done and said, so that whatever is driven again is done again; what is pending stays."""

        def work() -> None:
            with self._database.transaction() as sql:
                for statement in START_OVER:
                    sql.execute(statement)

        await self._database.call(work)

    async def _keep(self, name: str, mark: StateMark) -> None:
        def work() -> None:
            with self._database.transaction() as sql:
                set_mark(sql, mark, name)

        await self._database.call(work)


def set_mark(sql: sqlite3.Connection, mark: StateMark | None, name: str = OWN) -> None:
    """Keep a mark in the transaction that is open; nothing without one."""
    if mark is not None:
        sql.execute(SET, (name, mark.term, mark.epoch, mark.sequence))


def read_mark(sql: sqlite3.Connection, name: str = OWN) -> StateMark | None:
    """The mark of that name."""
    row = sql.execute(GET, (name,)).fetchone()
    return StateMark(*row) if row else None


def read_resources(sql: sqlite3.Connection) -> list[bytes]:
    """The serialized resources of what is held, and of what is still to be done."""
    held = [row[0] for row in sql.execute("SELECT body FROM held").fetchall()]
    for (body,) in sql.execute("SELECT body FROM tasks WHERE settled = 0").fetchall():
        try:
            held.append(held_body(pb.Task.FromString(body)))
        except DecodeError:
            continue
    return held


def held_body(task: pb.Task) -> bytes:
    """The resource as it is held once the task is done; one that only left is neither retired nor unlinked."""
    if not task.departure:
        return task.resource.SerializeToString()
    held = Resource()
    held.CopyFrom(task.resource)
    held.retired = False
    if held.HasField("link"):
        held.link.ClearField("state")
    return held.SerializeToString()
