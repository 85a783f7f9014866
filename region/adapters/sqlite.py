"""A SQLite database of a process: one connection in one thread, write-ahead log, an fsync a transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from runtime.errors import Invalid, Unavailable
from runtime.files import read_text

T = TypeVar("T")

# What is wrong with a value; anything else is the database's own matter.
VALUES = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and its driver raise into Invalid, for a value that cannot be kept, or Unavailable."""
    try:
        yield
    except VALUES as error:
        raise Invalid(f"The database cannot keep a value ({type(error).__name__})", reason="NOT_STORABLE") from error
    except sqlite3.Error as error:
        raise Unavailable(
            f"The database of this process does not answer ({error})", reason="JOURNAL_UNAVAILABLE"
        ) from error


class Database:
    """`sql` belongs to the thread in which `call` does its work."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self.sql = connection
        self._thread = thread

    async def call(self, work: Callable[[], T]) -> T:
        """What `work` gives, done in the database's thread; raises Invalid or Unavailable, and nothing of SQLite's."""

        def translating() -> T:
            with translated():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, translating)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; for use inside `call`."""
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield self.sql
        except BaseException:
            # Some failures have undone it already.
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")


@asynccontextmanager
async def open_database(path: Path, schema: Path, thread: str, *pragmas: str) -> AsyncIterator[Database]:
    """Open, or make by the script `schema`, the database at `path`, readable by this user alone."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix=thread) as executor:
        connection = await loop.run_in_executor(executor, _connect, path, schema, pragmas)
        try:
            yield Database(connection, executor)
        finally:
            await loop.run_in_executor(executor, connection.close)


def _connect(path: Path, schema: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", *pragmas):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(read_text(schema))
    return connection
