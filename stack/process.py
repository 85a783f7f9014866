"""Processes, named by pid and start time, so that a number used again is never taken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.files import read_text

POLL = 0.05
PROC = Path("/proc")


def boot_id() -> str:
    """Names this boot of the machine: start times of another boot mean nothing."""
    return read_text(PROC / "sys/kernel/random/boot_id").strip()


@dataclass(frozen=True)
class ProcessInfo:
    """What the kernel says of a process."""

    pid: int
    session: int
    started: int


def look(pid: int) -> ProcessInfo | None:
    """The process `pid`, or None if it is gone or only waits to be reaped."""
    try:
        fields = read_text(PROC / str(pid) / "stat").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # While the leader of a killed process is a zombie its other threads may still hold ports and files.
    if fields[0] in "ZX" and int(fields[17]) <= 1:
        return None
    return ProcessInfo(pid, int(fields[3]), int(fields[19]))


def alive(pid: int | None, started: int | None) -> bool:
    """Whether the process that was recorded is still the one that runs."""
    seen = look(pid) if pid else None
    return seen is not None and seen.started == started


def members(pid: int, started: int) -> list[ProcessInfo]:
    """The living processes of the session that the process (pid, started) leads or led.

    The kernel gives a number to no new process while a session carries it, so these descend from ours.
    """
    numbers = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    found = (look(number) for number in numbers)
    return [seen for seen in found if seen and seen.session == pid and seen.started >= started]


def working_in(place: Path) -> list[ProcessInfo]:
    """The processes whose working directory is `place`: servants of a server that lead sessions of their own."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == place and (seen := look(int(entry.name))):
                    found.append(seen)
    return found


def send(seen: Iterable[ProcessInfo], number: signal.Signals) -> None:
    """Send a signal to each that still is who it was."""
    for process in seen:
        if alive(process.pid, process.started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def end(processes: list[ProcessInfo], grace: float, first: signal.Signals = signal.SIGTERM) -> None:
    """End `processes` and wait until the kernel has forgotten them: `first`, then SIGKILL after `grace` seconds."""
    if grace > 0:
        send(processes, first)
    if not _gone(processes, grace):
        send(processes, signal.SIGKILL)
        _gone(processes, 10)


def _gone(processes: list[ProcessInfo], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(process.pid, process.started) for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL)
    return True
