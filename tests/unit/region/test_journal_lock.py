"""A journal has one writer: a process that was replaced, and lives on, shuts its successor out, not the other way."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from region.adapters.journal.lock import only_writer
from runtime.errors import Unavailable

HOLD = """
import asyncio, sys
from pathlib import Path
from region.adapters.journal.lock import only_writer

async def hold():
    async with only_writer(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


def _holding(journal: Path) -> subprocess.Popen[bytes]:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(journal)], stdout=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdout.readline() == b"held\n"
    return first


async def test_a_second_process_is_refused_while_the_first_stands_still(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with _holding(journal) as first:
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable) as refused:
            async with only_writer(journal, patience=0.3):
                pass
        assert refused.value.reason == "JOURNAL_IN_USE"
        first.kill()
    began = time.monotonic()
    async with only_writer(journal):
        assert time.monotonic() - began < 1.0
    assert (tmp_path / "journal.db.lock").stat().st_mode & 0o777 == 0o600


async def test_within_a_process_too_there_is_one(tmp_path: Path) -> None:
    async with only_writer(tmp_path / "journal.db"):
        with pytest.raises(Unavailable):
            async with only_writer(tmp_path / "journal.db", patience=0.1):
                pass
