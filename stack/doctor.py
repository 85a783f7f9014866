"""What is wrong with this machine, or with a stack's processes, and what to do about it."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import OrbitalError
from stack import api
from stack.acquire import cache, catalog
from stack.settings import load_settings

GIGABYTE = 2**30
PROCESSORS, MEMORY, DISK, FILES = 2, 4 * GIGABYTE, 4 * GIGABYTE, 1024
SYNC_SECONDS = 0.02
SYNCS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is empty when nothing has to be done."""

    subject: str
    said: str
    advice: str = ""


def examine(place: Path) -> Iterator[Finding]:
    """The machine, the parts, and the processes of the stack in `place`."""
    yield from _machine(place)
    yield from _parts()
    yield from _processes(place)


def _machine(place: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "python", version, "" if sys.version_info[:2] == (3, 11) else "Python 3.11 is what is tested; install it."
    )
    processors = len(os.sched_getaffinity(0))
    slow = f"A stack wants {PROCESSORS} processors; with fewer, parts start late and probes time out."
    yield Finding("processors", str(processors), slow if processors < PROCESSORS else "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    more = "A stack wants 4 GiB; end what else runs."
    # The kernel's own caches give way, so that only what is far too little is worth a word.
    yield Finding("memory", f"{memory / GIGABYTE:.1f} GiB free", more if memory < MEMORY / 8 else "")
    for subject, folder in (("disk of the data", _existing(place)), ("disk of the cache", _existing(cache.root()))):
        free = shutil.disk_usage(folder).free
        full = f"Free some space in {folder}: a stack and its parts want 4 GiB."
        yield Finding(subject, f"{free / GIGABYTE:.1f} GiB free", full if free < DISK else "")
    seconds = _sync(_existing(place))
    lame = "Every hop waits for this disk; choose a faster one with --data."
    yield Finding("a durable write", f"{seconds * 1000:.1f} ms", lame if seconds > SYNC_SECONDS else "")
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Finding("open files", str(files), f"Raise it: ulimit -n {FILES}" if files < FILES else "")


def _existing(place: Path) -> Path:
    """The nearest folder above `place` that exists."""
    return next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())


def _sync(folder: Path) -> float:
    """Seconds that a small durable write takes there, at the median."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[SYNCS // 2]


def _parts() -> Iterator[Finding]:
    """Whether each part can be had; what is not in the cache is fetched, which is the only way to know."""
    settings = load_settings()
    for name in catalog.PARTS:
        try:
            yield Finding(name, str(catalog.path(name, settings)))
        except OrbitalError as error:
            yield Finding(name, "cannot be had", error.message)
        except OSError as error:
            advice = f"{error.filename or cache.root()}: {error.strerror}. Name another place with XDG_CACHE_HOME."
            yield Finding(name, "cannot be had", advice)


def _processes(place: Path) -> Iterator[Finding]:
    if not (place / "state.json").exists():
        yield Finding("stack", f"none in {place}", "Start one: orbital up")
        return
    found = api.status(place)
    if found.supervisor is None:
        yield Finding("stack", "stopped", f"Start it again; its data is kept: orbital up --data {place}")
        return
    nothing = "" if found.parts else "It has started none of its parts yet. See: orbital status"
    yield Finding("stack", f"supervisor {found.supervisor.pid}", nothing)
    for name, part in found.parts.items():
        log = f"{place}/log/{name}.log"
        if part.status != "ready":
            yield Finding(name, f"{part.status} {part.error}".strip(), f"Its log says why: {log}")
        elif part.restarts:
            yield Finding(name, f"ready, after {part.restarts} restarts", f"Its log says why it ended: {log}")
