"""Signals that the control plane has not taken yet, in a file, so that they outlive this process."""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from runtime.files import read_bytes
from runtime.logs import get_logger

log = get_logger(__name__)

# Of a long absence the last ones are kept.
MOST = 200


class FileOutbox:
    """See checker.ports.control.Outbox. A line of base64 each, replaced as a whole and synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[bytes] | None = None

    async def waiting(self) -> Sequence[bytes]:
        """See the port."""
        if self._waiting is None:
            self._waiting = await asyncio.to_thread(_read, self._path)
        return tuple(self._waiting)

    async def keep(self, content: bytes) -> None:
        """See the port."""
        await self._replace([*await self.waiting(), content][-MOST:])

    async def sent(self, count: int) -> None:
        """See the port."""
        await self._replace(list(await self.waiting())[count:])

    async def _replace(self, waiting: list[bytes]) -> None:
        if waiting != self._waiting:
            self._waiting = waiting
            await asyncio.to_thread(_write, self._path, waiting)


def _read(path: Path) -> list[bytes]:
    try:
        return [b64decode(line, validate=True) for line in read_bytes(path).splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        # What is not told any more has to be seen again.
        log.warning("the signals that wait cannot be read", error=type(error).__name__)
        return []


def _write(path: Path, waiting: Sequence[bytes]) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.touch(mode=0o600)
        with beside.open("wb") as file:
            file.writelines(b64encode(each) + b"\n" for each in waiting)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        # A full disk is one of the things that a checker has to be able to tell: it goes on from memory.
        log.warning("signals cannot be kept on disk", error=type(error).__name__)
