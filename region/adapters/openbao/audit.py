"""The audit log of the region's OpenBao, read as a file: it writes each record before it answers."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from region.ports.receipts import AuditRecords, LogPosition
from runtime.errors import Unavailable
from runtime.files import bounded_lines
from runtime.openbao import ATTEMPT_HEADER


class AuditFile:
    """See region.ports.receipts.Audit."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def mark(self) -> LogPosition | None:
        """See the port."""
        return await asyncio.to_thread(_mark, self._path) if self._path else None

    async def records(self, mark: LogPosition, attempt: str) -> AuditRecords:
        """See the port."""
        assert self._path is not None
        return await asyncio.to_thread(_records, self._path, mark, attempt)


def _mark(path: Path) -> LogPosition:
    try:
        known = path.stat()
    except OSError as error:
        raise _unreadable(error) from error
    return LogPosition(known.st_ino, known.st_size)


def _records(path: Path, mark: LogPosition, attempt: str) -> AuditRecords:
    wanted = f'"{ATTEMPT_HEADER}":["{attempt}"]'.encode()
    digest, count = hashlib.sha256(), 0
    try:
        with path.open("rb") as log:
            # A log that was rotated meanwhile no longer holds all of it: the task is tried again, by another attempt.
            now = _mark(path)
            if now.file != mark.file or now.offset < mark.offset:
                raise Unavailable("OpenBao's audit log was rotated meanwhile", reason="AUDIT_ROTATED")
            log.seek(mark.offset)
            for line in bounded_lines(log, "OpenBao's audit log"):
                if wanted in line:
                    digest.update(line)
                    count += 1
    except OSError as error:
        raise _unreadable(error) from error
    return AuditRecords(count, digest.digest())


def _unreadable(error: OSError) -> Unavailable:
    return Unavailable(f"OpenBao's audit log cannot be read: {error.strerror}", reason="AUDIT_UNREADABLE")
