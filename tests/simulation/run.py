"""One schedule, from its seed: start, change and break things, mend them, look whether everything holds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.bugs import planted
from tests.simulation.database import Postgres, SimulatedStore
from tests.simulation.fleet import Fleet
from tests.simulation.invariants import Broken, Watch, check_end, settled
from tests.simulation.loop import Stuck, simulate
from tests.simulation.schedule import People, Trouble

SECONDS = 40.0


@dataclass
class Outcome:
    """What came of a seed; `broken` is empty when every invariant held."""

    seed: int
    broken: str = ""
    history: Sequence[str] = ()
    statements: int = 0
    looks: int = 0
    extra: dict[str, int] = field(default_factory=dict)


def run(
    postgres: Postgres, seed: int, regions: int = 2, tenants: int = 2, bug: str = "", *, clocks: bool = False
) -> Outcome:
    """Run the schedule of this seed; the same seed gives the same history."""
    outcome = Outcome(seed)
    postgres.empty()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        try:
            with planted(bug):
                fleet = (seed, regions, tenants)
                simulate(lambda: _main(outcome, postgres, Path(place), fleet, clocks=clocks))
        except (Broken, Stuck) as error:
            outcome.broken = str(error)
    return outcome


async def _main(
    outcome: Outcome, postgres: Postgres, place: Path, drawn: tuple[int, int, int], *, clocks: bool
) -> None:
    seed, regions, tenants = drawn
    fleet = Fleet(SimulatedStore(postgres), place, seed, regions)
    people, fault = People(fleet, tenants), Trouble(fleet)
    watch = Watch(fleet, people)
    fleet.start()
    await asyncio.sleep(0.5)
    watching = asyncio.ensure_future(watch.run())
    setting = asyncio.ensure_future(fault.clocks(seed) if clocks else asyncio.sleep(0))
    try:
        await people.regions()
        for tenant in people.tenants:
            await people.declare(tenant, "declaration")
        await _disturbed(fleet, people, fault, watching)
        setting.cancel()
        await fault.end()
        await settled(watch)
        _raise(watching)
        await check_end(watch, people)
    finally:
        watching.cancel()
        setting.cancel()
        outcome.extra = {"refusals": watch.refusals, "proofs": watch.proofs}
        outcome.history, outcome.statements, outcome.looks = fleet.history, fleet.store.statements, watch.looks
        fleet.stop()


async def _disturbed(fleet: Fleet, people: People, fault: Trouble, watching: asyncio.Future[None]) -> None:
    """Changes and faults beside one another, until the time is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SECONDS
    acting: asyncio.Future[None] | None = None
    while loop.time() < until:
        await asyncio.sleep(fleet.random.expovariate(1.0))
        _raise(watching)
        if fleet.random.random() < 0.4:
            fault.happen()
        if acting is None or acting.done():
            if acting is not None:
                acting.result()
            acting = asyncio.ensure_future(people.act())
    if acting is not None:
        await acting


def _raise(watching: asyncio.Future[None]) -> None:
    if watching.done():
        watching.result()
