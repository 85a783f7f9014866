"""Authorities that are believed, in a file that may change: what is connected from then on goes by what it says now."""

from __future__ import annotations

import ssl
from pathlib import Path


class Trust:
    """The authorities in a file (PEM); the file is read anew when it was replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """What a client verifies a server by; the same object as long as the file is the same."""
        status = self._file.stat()
        seen = (status.st_ino, status.st_mtime_ns)
        if self._context is None or seen != self._seen:
            self._context = ssl.create_default_context(cafile=str(self._file))
            self._seen = seen
        return self._context
