"""Many seeds on all cores: a worker process each, with a database of its own on one private PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from runtime.logs import setup_logs
from stack import api
from tests.simulation.database import Postgres
from tests.simulation.run import Outcome, run

CHUNK = 5


@dataclass(frozen=True)
class Place:
    """Where the PostgreSQL is, and the file of its superuser's password."""

    host: str
    password: Path

    @classmethod
    def start(cls, data: Path) -> Place:
        """Start one in this directory; it is left running."""
        state = api.up(data, only=["postgres"])
        return cls(f"{state.run}-pg", data / "secrets" / "postgres-superuser")


_postgres: Postgres | None = None


def _begin(place: Place) -> None:
    """A worker's own database. What the simulated processes log is of the simulation, not of this process."""
    global _postgres  # noqa: PLW0603 - a worker process has nothing else to keep it in
    setup_logs("simulation", "CRITICAL")
    _postgres = Postgres.open(place.host, f"simulation_{os.getpid()}", place.password)


def _run(seeds: Sequence[int], bug: str, clocks: bool) -> list[Outcome]:
    assert _postgres is not None
    return [run(_postgres, seed, bug=bug, clocks=clocks) for seed in seeds]


def run_all(place: Place, seeds: Sequence[int], bug: str = "", *, clocks: bool = False) -> Iterator[Outcome]:
    """What came of each seed, in order; `bug` plants one of `tests.simulation.bugs`, `clocks` are set meanwhile."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (place,)) as pool:
        for outcomes in pool.map(_run, chunks, [bug] * len(chunks), [clocks] * len(chunks)):
            yield from outcomes
