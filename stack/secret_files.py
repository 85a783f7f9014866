"""Secrets of a stack: random, made once, each in a file that only we can read."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import private_files
from runtime.files import read_bytes, read_text

if TYPE_CHECKING:
    from stack.context import StackContext


def write_private(path: Path, content: str | bytes) -> None:
    """Put `content` at `path`, readable by us alone, whole or not at all; its directory is made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private_files.write_private(path, content)


def kept_secret(path: Path, characters: int = 32) -> str:
    """The secret in `path`, made at the first call."""
    if not path.exists():
        _put_first(path, secrets.token_urlsafe(characters)[:characters])
    return read_text(path)


def engine_token(context: StackContext, engine: str) -> str:
    """By what a policy engine proves to the sidecar beside it that a log or a status is its own."""
    return kept_secret(context.secret(f"{engine}-token"), 43)


def kept_bytes(path: Path, size: int = 32) -> bytes:
    """The random bytes in `path`, made at the first call."""
    if not path.exists():
        _put_first(path, secrets.token_bytes(size))
    return read_bytes(path)


def _put_first(path: Path, content: str | bytes) -> None:
    # Two parts that share a secret may be prepared at once: whoever links first has made it.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_private(beside, content)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
