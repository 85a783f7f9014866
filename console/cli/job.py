"""Follows a job until it has converged: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orbital.v1.registry_pb2 import Job, WatchJobRequest

from console.cli.failure import Exit, Failure
from console.cli.moments import age, elapsed, iso
from console.cli.render import console, say
from runtime.errors import Unavailable

if TYPE_CHECKING:
    from console.cli.connection import Connection

PAUSE = 0.5
LINE_EVERY = 5.0
Show = Callable[[Job], None]


def follow(connection: Connection, correlation_id: str, timeout: float) -> Job:
    """The job once it has converged; raises Failure 7, naming what blocks, when `timeout` seconds are over.

    A gateway that goes away meanwhile is asked again: the state comes first on every stream, so nothing is missed.
    """
    begun = time.monotonic()
    last: Job = Job(correlation_id=correlation_id)
    with _progress(begun) as progress:
        while (left := timeout - (time.monotonic() - begun)) > 0:
            try:
                request = WatchJobRequest(correlation_id=correlation_id)
                for job in connection.stream(connection.registry.WatchJob, request, left):
                    last = job
                    progress(last)
                    if last.HasField("converge_time"):
                        return last
            except Unavailable:
                time.sleep(min(PAUSE, max(0.0, left)))
    raise Failure(_timed_out(last, timeout), Exit.TIMEOUT)


def _timed_out(job: Job, timeout: float) -> str:
    now = time.time()
    waiting = []
    for part in job.regions:
        heard = age(iso(part.last_contact_at), now)
        why = part.reason if part.connected else f"unreachable {heard}"
        waiting.append(f"{part.region} ({why})" if why else part.region)
    blocked = f" Waiting: {', '.join(waiting)}." if waiting else ""
    counted = f"{job.converged} of {job.total} converged." if job.total else "no answer about the job."
    return f"Timed out after {timeout:.0f} s: {counted}{blocked} Follow: orbital trace {job.correlation_id} --watch"


@contextmanager
def _progress(begun: float) -> Iterator[Show]:
    if not sys.stderr.isatty():
        yield _lines(begun)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("Converging"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        row = bar.add_task("", total=None)

        def show(job: Job) -> None:
            behind = [part.region for part in job.regions]
            bar.update(row, total=job.total, completed=job.converged, description=" ".join(behind[:5]))

        yield show


def _lines(begun: float) -> Show:
    told = begun

    def show(job: Job) -> None:
        nonlocal told
        if time.monotonic() - told >= LINE_EVERY:
            told = time.monotonic()
            say(f"{job.converged} of {job.total} converged after {elapsed(told - begun)}")

    return show
