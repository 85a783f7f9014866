"""Follows a job until it has ended: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orbital.v1.registry_pb2 import Job, JobRegion, JobState, WatchJobRequest

from console.cli.failure import Exit, Failure
from console.cli.moments import between, elapsed, iso, silence
from console.cli.render import console, say
from runtime.errors import Unavailable

if TYPE_CHECKING:
    from console.cli.connection import Connection

PAUSE = 0.5
LINE_EVERY = 5.0
Show = Callable[[Job], None]


def follow(connection: Connection, correlation_id: str, timeout: float) -> Job:
    """The job once it has ended, converged or superseded; raises Failure 7, naming what blocks, when the time is over.

    A gateway that goes away meanwhile is asked again: the state comes first on every stream, so nothing is missed.
    """
    begun = time.monotonic()
    last: Job = Job(correlation_id=correlation_id)
    parked: set[str] = set()
    with _progress(begun) as progress:
        while (left := timeout - (time.monotonic() - begun)) > 0:
            try:
                request = WatchJobRequest(correlation_id=correlation_id)
                for job in connection.stream(connection.registry.WatchJob, request, left):
                    last = job
                    progress(last)
                    _tell_parked(last, parked)
                    if last.HasField("end_time"):
                        return last
            except Unavailable:
                time.sleep(min(PAUSE, max(0.0, left)))
    raise Failure(_timed_out(last, timeout), Exit.TIMEOUT)


def finish(connection: Connection, correlation_id: str, timeout: float) -> str:
    """The sentence that ends a wait.

    Raises Failure 7 when the time is over, 11 when the change was superseded, and 12 when a region was decommissioned
    before it proved its part.
    """
    ended = follow(connection, correlation_id, timeout)
    if ended.state == JobState.JOB_STATE_GIVEN_UP:
        raise Failure(given_up(ended), Exit.GIVEN_UP)
    if ended.state != JobState.JOB_STATE_CONVERGED:
        raise Failure(superseded(ended), Exit.SUPERSEDED)
    return converged(ended)


def converged(job: Job) -> str:
    """The sentence of a change that has converged, with how long it took."""
    if not job.total:
        return "Done: the change concerns no placement."
    took = between(iso(job.create_time), iso(job.converge_time))
    return f"Converged: {job.converged} of {job.total} in {elapsed(took)}."


def given_up(job: Job) -> str:
    """What is not proven, and where."""
    lost = ", ".join(job.lost_regions) or "A region"
    return (
        f"Ended, but not proven everywhere: {job.converged} of {job.total} converged. {lost} was decommissioned before "
        f"it proved the other {job.given_up}, and may still hold them. See: orbital proof {job.correlation_id}"
    )


def superseded(job: Job) -> str:
    """What was not brought about, and which changes took it over."""
    others = ", ".join(job.superseded_by) or "a change that is not known"
    follow_up = f" Follow: orbital wait {job.superseded_by[0]}" if job.superseded_by else ""
    return (
        f"Superseded: {job.superseded} of {job.total} placements were taken over by {others} before they converged; "
        f"{job.converged} converged.{follow_up}"
    )


def _timed_out(job: Job, timeout: float) -> str:
    now = time.time()
    waiting = []
    for part in filter(_behind, job.regions):
        heard = silence(iso(part.last_contact_at), now)
        why = _why(part) if part.connected else f"unreachable, {heard}"
        waiting.append(f"{part.region} ({why})" if why else part.region)
    blocked = f" Waiting: {', '.join(waiting)}." if waiting else ""
    counted = f"{job.converged} of {job.total} converged." if job.total else "no answer about the job."
    return f"Timed out after {timeout:.0f} s: {counted}{blocked} Follow: orbital trace {job.correlation_id} --watch"


def _why(part: JobRegion) -> str:
    """Why a region is behind; what is parked waits for somebody, or for the end of its pause."""
    return f"parked: {part.reason}" if part.parked else part.reason


def _tell_parked(job: Job, told: set[str]) -> None:
    """Say once of each region that something is parked there: a wait may end only because somebody mends it."""
    for part in job.regions:
        if part.parked and part.region not in told:
            told.add(part.region)
            say(f"{part.region}: {_why(part)}. List: orbital get tasks --parked --region {part.region}")


def _behind(part: JobRegion) -> bool:
    return part.behind > 0


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
            behind = [part.region for part in job.regions if _behind(part)]
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
