"""Authorities that are believed, in a file that may change: what is connected from then on goes by what it says now."""

from __future__ import annotations

import ssl
from pathlib import Path


class Trust:
    """The authorities in a file (PEM), read anew when it was replaced; without a file, those the machine believes."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """What a client verifies a server by; the same object as long as the file is the same."""
        seen = _mark(self._file) if self._file else None
        if self._context is None or seen != self._seen:
            self._context = ssl.create_default_context(cafile=str(self._file) if self._file else None)
            self._seen = seen
        return self._context


def _mark(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_ino, status.st_mtime_ns
