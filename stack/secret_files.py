"""Secrets of a stack: random, made once, each in a file that only we can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from runtime import private_files


def write_private(path: Path, content: str | bytes) -> None:
    """Put `content` at `path`, readable by us alone, whole or not at all; its directory is made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_files.write_private(path, content)


def kept_secret(path: Path, characters: int = 32) -> str:
    """The secret in `path`, made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(characters)[:characters])
    return path.read_text()


def kept_bytes(path: Path, size: int = 32) -> bytes:
    """The random bytes in `path`, made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_bytes(size))
    return path.read_bytes()
