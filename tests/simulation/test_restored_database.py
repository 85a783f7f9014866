"""The control plane's database is put back to an older copy: what was revoked since holds; what is declared works."""

from __future__ import annotations

import asyncio
import copy as copying
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from orbital.v1.resource_pb2 import Resource

from tests.simulation import copies
from tests.simulation.database import Postgres, SimulatedStore
from tests.simulation.fleet import LANES, Fleet
from tests.simulation.invariants import Broken, Watch, check_end, settled
from tests.simulation.loop import simulate
from tests.simulation.pool import Place
from tests.simulation.schedule import People, Tenant, Trouble

SEEDS = 24
# Heads are signed every four seconds, and each beat hands the newest one over.
HEADS_KNOWN = 12.0


@pytest.fixture(scope="module")
def postgres(place: Place) -> Iterator[Postgres]:
    made = Postgres.open(place.host, "simulation_restored", place.password)
    yield made
    made.close()


class Restored:
    """One run, from its seed."""

    def __init__(self, postgres: Postgres, place: Path, seed: int) -> None:
        self.postgres = postgres
        self.fleet = Fleet(SimulatedStore(postgres), place, seed, 3, audited=True)
        self.people, self.fault = People(self.fleet, 4), Trouble(self.fleet)
        self.watch = Watch(self.fleet, self.people)
        # Declared after the copy: the restored database does not know it.
        self.late = self.people.tenants.pop()

    async def changes(self, count: int) -> None:
        for _ in range(count):
            await self.people.act()
            await asyncio.sleep(self.fleet.random.uniform(0.0, 1.5))
            if self.fleet.random.random() < 0.3:
                self.fault.happen()

    async def run(self) -> None:
        fleet, people, random = self.fleet, self.people, self.fleet.random
        fleet.start()
        await asyncio.sleep(0.5)
        await people.regions()
        for tenant in people.tenants:
            await people.declare(tenant, "declaration")
        await self.changes(random.randint(0, 5))
        copies.copy(self.postgres)
        fleet.tell("copied   the database")
        before = copying.deepcopy(people.tenants)
        await people.declare(self.late, "declaration")
        people.tenants.append(self.late)
        await self.changes(random.randint(1, 8))
        await self.fault.end()
        await settled(self.watch)
        await asyncio.sleep(HEADS_KNOWN)
        await self.restore(random.random() < 0.5)
        self.remember(before)
        held = self.held()
        await self.afterwards()
        self.fault = Trouble(fleet)
        await self.changes(random.randint(0, 4))
        await self.fault.end()
        await settled(self.watch)
        await check_end(self.watch, people)
        self.check(held)

    async def restore(self, alive: bool) -> None:
        """Put the copy back; the gateway is up meanwhile, or not."""
        fleet = self.fleet
        fleet.tell(f"restore  the database, the gateway {'lives' if alive else 'is down'}")
        fleet.store.away = True
        if not alive:
            for role in LANES:
                fleet.gateways[role].crash()
        await asyncio.sleep(2.0)
        async with fleet.store.turn():
            copies.restore(self.postgres)
        fleet.store.away = False
        if not alive:
            for role in LANES:
                fleet.start_gateway(role)
            await asyncio.sleep(0.2)

    def remember(self, before: list[Tenant]) -> None:
        """What is meant now: as in the copy, and whatever was revoked since stays so."""
        for tenant, old in zip(self.people.tenants, before, strict=False):
            # What a restoration brought back after the copy is killed again: it takes two people anew.
            tenant.killed, tenant.retired = tenant.killed or old.killed, tenant.retired or old.retired
            tenant.linked = tenant.linked and old.linked
            tenant.revoking = []
        self.watch.forget()

    def held(self) -> dict[tuple[str, str], int]:
        """The generations that regions hold, by region and resource."""
        found: dict[tuple[str, str], int] = {}
        for site in self.fleet.sites.values():
            for role in LANES:
                for name, generation in _held(site.journal(role)).items():
                    found[site.name, name] = max(generation, found.get((site.name, name), 0))
        return found

    async def afterwards(self) -> None:
        """Whatever is asked for at once, before the control plane has learnt of anything, has its effect as well."""
        people = self.people
        for tenant in people.tenants:
            if tenant is self.late:
                continue
            if tenant.retired:
                continue
            tenant.labels = {"after": "restore"}
            if self.fleet.random.random() < 0.3 and not tenant.killed:
                await people._kill(tenant)
            elif self.fleet.random.random() < 0.5:
                await people.declare(tenant, "label after the restore")
        await asyncio.sleep(20.0)
        if not self.late.retired:
            self.late.linked = self.late.linked and not self.late.killed
            await people.declare(self.late, "declaration anew")

    def check(self, held: dict[tuple[str, str], int]) -> None:
        rows = self.watch.ask("SELECT name, generation, body FROM resource WHERE kind <> 1")
        stored = {row["name"]: row for row in rows}
        for (region, name), generation in held.items():
            if name in stored and stored[name]["generation"] < generation:
                raise Broken(3, f"{name} is at {stored[name]['generation']}, and {region} held {generation}")
        now = self.held()
        for (region, name), generation in now.items():
            if name in stored and generation != stored[name]["generation"] and not _retired(stored[name]["body"]):
                raise Broken(3, f"{region} holds generation {generation} of {name}, not {stored[name]['generation']}")
        if not self.watch.ask("SELECT 1 FROM went_back WHERE told_at IS NOT NULL"):
            raise Broken(1, "Nobody noticed that the database went back")


def _held(journal: Path) -> dict[str, int]:
    import sqlite3

    with sqlite3.connect(journal) as connection:
        return dict(connection.execute("SELECT resource, generation FROM held").fetchall())


def _retired(body: bytes) -> bool:
    return Resource.FromString(body).retired


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_undone_and_everything_goes_on(postgres: Postgres, seed: int) -> None:
    postgres.empty()
    with tempfile.TemporaryDirectory() as place:
        history: list[str] = []

        async def main() -> None:
            made = Restored(postgres, Path(place), seed)
            nonlocal history
            history = made.fleet.history
            watching = asyncio.ensure_future(made.watch.run())
            try:
                await made.run()
            finally:
                watching.cancel()
                made.fleet.stop()

        try:
            simulate(main)
        except Broken as error:
            pytest.fail("\n".join([str(error), *history]), pytrace=False)
