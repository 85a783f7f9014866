"""How heavy a process of the stack is to the kernel."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from stack.layout import Layout
from stack.spawn import spawn
from stack.unit import Launch

WAITS = ("sleep", "60")


def told(pid: int, what: str) -> str:
    """What the kernel says of a process; nothing where it was built without."""
    file = Path(f"/proc/{pid}/{what}")
    return file.read_text().strip() if file.exists() else ""


def started(pid: int) -> None:
    """Return when it is what was asked for; it is `nice` at first."""
    while told(pid, "comm") not in {WAITS[0], ""}:
        time.sleep(0.01)


async def weights(place: Path, nice: int) -> tuple[int, str]:
    """(niceness of the process, weight of its session) of one that is started so."""
    layout = Layout.of(place)
    layout.logs.mkdir(parents=True, exist_ok=True)
    process = await spawn(layout, "part", Launch(WAITS, place, nice=nice))
    try:
        await asyncio.wait_for(asyncio.to_thread(started, process.pid), 10)
        return os.getpriority(os.PRIO_PROCESS, process.pid), told(process.pid, "autogroup")
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("nice", [0, 5])
async def test_a_part_that_can_wait_stands_back_as_a_whole(tmp_path: Path, nice: int) -> None:
    niceness, session = await weights(tmp_path, nice)
    assert niceness == os.getpriority(os.PRIO_PROCESS, 0) + nice
    assert session.endswith(f" nice {nice}") or not told(os.getpid(), "autogroup")
