"""The lock by which a journal has one writer: whoever takes it holds it for as long as its process lives."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.errors import Unavailable

# A process that is being ended has let go by then.
PATIENCE = 10.0
LOOK = 0.1


@asynccontextmanager
async def only_writer(journal: Path, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Be the only process that writes this journal inside the block; raises Unavailable while another one lives.

    The kernel lets go of it when the process ends, however it ends, and not while it stands still.
    """
    journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(journal.with_name(f"{journal.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(max(1, round(patience / LOOK))):
            if _taken(lock):
                break
            await asyncio.sleep(LOOK)
        else:
            raise Unavailable(f"Another process writes the journal {journal.name}", reason="JOURNAL_IN_USE")
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
