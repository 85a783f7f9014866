"""The journal of another process of the region, opened only to be read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from region.adapters.journal.marks import read_mark, read_resources
from region.domain.mark import StateMark
from runtime.errors import Unavailable

T = TypeVar("T")


class OtherJournalReader:
    """See region.ports.journal.JournalReader."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def held(self) -> Mapping[str, int]:
        """See the port."""
        return await asyncio.to_thread(self._read, _generations)

    async def mark(self) -> StateMark | None:
        """See region.ports.marks.MarkReader; None too where the journal is not there or cannot be read."""
        return await asyncio.to_thread(self._mark)

    def _mark(self) -> StateMark | None:
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
                return read_mark(connection)
        except sqlite3.Error:
            # The control plane knows that process's mark too.
            return None

    async def resources(self) -> Sequence[bytes]:
        """See region.ports.marks.MarkReader."""
        return await asyncio.to_thread(self._read, read_resources)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
                return read(connection)
        except sqlite3.Error as error:
            raise Unavailable(
                f"The journal {self._path.name} cannot be read: {type(error).__name__}", reason="JOURNAL_UNREADABLE"
            ) from error


def _generations(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT resource, generation FROM held").fetchall())
