"""Authorities that are believed, in a file that may change: what is connected from then on goes by what it says now."""

from __future__ import annotations

import ssl
from pathlib import Path

from runtime.files import read_bytes


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
            self._context = believing(self._file) if self._file else ssl.create_default_context()
            self._seen = seen
        return self._context


def believing(authority: Path, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> ssl.SSLContext:
    """A context that believes the authorities in a file and no others; raises OSError and Invalid."""
    # What stands between the certificates may be in any language, and is none of them.
    certificates = read_bytes(authority).decode("ascii", errors="ignore")
    if not certificates.strip():
        # Without any, the context would believe whom the machine believes.
        raise ssl.SSLError(f"{authority} holds no certificate")
    return ssl.create_default_context(purpose, cadata=certificates)


def show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Let a context show a certificate; raises OSError and Invalid."""
    for file in (certificate, key):
        # OpenSSL opens the files itself, and has no bound.
        read_bytes(file)
    context.load_cert_chain(certificate, key)


def _mark(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_ino, status.st_mtime_ns
