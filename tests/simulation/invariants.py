"""What holds whatever happens: looked at while it happens, and once everything is mended.

The numbers are those of docs/reference/invariants.md.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from region.domain import keys
from runtime.kinds import KIND_WORDS, LANES
from tests.simulation.fleet import Fleet, Site
from tests.simulation.schedule import People, Tenant

LOOK_SECONDS = 0.5
# Simulated seconds within which everything is at rest after the last fault.
SETTLE_SECONDS = 240.0
# The state of a target of a change that was fulfilled, and of a task that is done.
FULFILLED, DONE = 2, 3


INVARIANTS = {
    1: "Every accepted change is executed or superseded in every region in which it is placed.",
    2: "A generation has one effect: the versions of a key are those that are declared, each made once.",
    3: "The observed generation of a placement never goes back.",
    4: "Once a revocation is effective, nothing unwraps until a newer link.",
    5: "Nothing is executed without a decision that allows it.",
    6: "Lane 0 carries revocations alone: nothing of a lower lane stands before them.",
    7: "Receipts match effects: a revocation that has converged was proved by every region that it reached.",
    8: "The audit chain verifies.",
    9: "No answer that was given is lost.",
    10: "A declaration changes what it names, and nothing else: absence is never a delete.",
    11: "A task is acknowledged only once the region's journal holds it.",
}


class Broken(AssertionError):
    """The invariant of this number does not hold."""

    def __init__(self, number: int, said: str) -> None:
        super().__init__(f"invariant {number}: {said}")


class Watch:
    """Looks while things happen."""

    def __init__(self, fleet: Fleet, people: People) -> None:
        self.fleet = fleet
        self.people = people
        self.looks = 0
        # Looks at a region that must refuse, and receipts of revocations that were asked for at the end.
        self.refusals = 0
        self.proofs = 0
        self._observed: dict[tuple[int, str], int] = {}

    def ask(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database, without any time passing."""
        postgres = self.fleet.store.postgres
        found: list[Any] = postgres.run(postgres.connection.fetch(query, *arguments))
        return found

    def forget(self) -> None:
        """What was observed and answered is compared anew: the database was restored."""
        self._observed.clear()
        self.people.answered.clear()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look."""
        self.looks += 1
        if self.fleet.ledger.lost:
            raise Broken(11, f"{len(self.fleet.ledger.lost)} tasks were acknowledged and are in no journal")
        for row in self.ask("SELECT resource_id, region, observed_generation FROM placement"):
            key = (row["resource_id"], row["region"])
            if row["observed_generation"] < self._observed.get(key, 0):
                raise Broken(3, f"observed generation of {key} went back to {row['observed_generation']}")
            self._observed[key] = row["observed_generation"]
        for tenant in self.people.tenants:
            await self._revoked(tenant)

    async def _revoked(self, tenant: Tenant) -> None:
        """A revocation that is said to be done in every region is, and nothing serves until somebody takes it back."""
        effective = [identity for identity in tenant.revoking if identity and self.converged(identity)]
        if not effective:
            return
        for name in tenant.regions:
            site = self.fleet.sites[name]
            before = list(tenant.revoking)
            said = await site.serves(tenant.name)
            self.refusals += 1
            if not said and before == tenant.revoking:
                raise Broken(4, f"{name} serves {tenant.name}, whose revocation {effective[0]} has converged")

    def converged(self, identity: str) -> bool:
        """Whether the change is said to have converged."""
        rows = self.ask("SELECT converged_at FROM job WHERE correlation_id = $1", identity)
        return bool(rows) and rows[0]["converged_at"] is not None


async def settled(watch: Watch) -> None:
    """Wait until nothing is left to do; what is left after long enough is a broken invariant."""
    for _ in range(int(SETTLE_SECONDS)):
        await asyncio.sleep(1.0)
        if not _left(watch):
            return
    raise Broken(1, f"not at rest after {SETTLE_SECONDS:.0f} s: {_left(watch)[:10]}")


def _left(watch: Watch) -> list[str]:
    rows = watch.ask(
        "SELECT r.name, p.region, p.desired_generation AS wanted, p.observed_generation AS seen, p.reason, p.task_kind"
        " FROM placement AS p INNER JOIN resource AS r ON r.id = p.resource_id"
        " WHERE p.desired_generation > p.observed_generation"
    )
    behind = [
        f"{r['name']} in {r['region']}: {r['seen']} of {r['wanted']} {r['task_kind']} {r['reason']}" for r in rows
    ]
    jobs = watch.ask("SELECT correlation_id, action FROM job WHERE ended_at IS NULL")
    return behind + [f"change {row['correlation_id']} ({row['action']})" for row in jobs]


async def check_end(watch: Watch, people: People) -> None:
    """Everything is as the people want it, and as it is said to be."""
    if not watch.ask("SELECT count(*) AS n FROM placement")[0]["n"]:
        raise Broken(1, "nothing is placed anywhere: nothing was looked at")
    for tenant in people.tenants:
        for name in tenant.regions:
            await _check_tenant(watch.fleet.sites[name], tenant)
        _check_receipts(watch, tenant)
    _check_tasks(watch)
    if people.unnamed:
        raise Broken(10, f"declarations changed {', '.join(sorted(people.unnamed))} without naming it")
    known = {row["correlation_id"] for row in watch.ask("SELECT correlation_id FROM job")}
    if lost := people.answered - known:
        raise Broken(9, f"nobody knows {', '.join(sorted(lost))}, which was accepted")


def _check_tasks(watch: Watch) -> None:
    """Each task went by the lane of its kind, and was executed because policy said so."""
    for row in watch.ask("SELECT kind, lane, count(*) AS n FROM task GROUP BY kind, lane"):
        if LANES[row["kind"]] != row["lane"]:
            raise Broken(6, f"{row['n']} {KIND_WORDS[row['kind']]} went by lane {row['lane']}")
    undecided = watch.ask("SELECT id FROM task WHERE state = $1 AND execute_decision = ''", DONE)
    if undecided:
        raise Broken(5, f"{len(undecided)} tasks are done and nobody decided about them")


async def _check_tenant(site: Site, tenant: Tenant) -> None:
    said = await site.serves(tenant.name)
    transit = f"{tenant.name}.s0"
    if tenant.usable:
        if said:
            raise Broken(1, f"{site.name} refuses {tenant.name} with {said}, which is linked")
        await _check_versions(site, tenant, transit)
        return
    if not said:
        raise Broken(4, f"{site.name} serves {tenant.name}, which is not to be served")
    if transit in site.transit.keys:
        raise Broken(4, f"{site.name} still holds the L2 of {tenant.name} in transit")


async def _check_versions(site: Site, tenant: Tenant, transit: str) -> None:
    """Transit holds what the record says, and each version opens what it closed."""
    record = keys.system_record(site.vault.records[f"systems/{tenant.name}/s0"][0])
    held = site.transit.keys.get(transit, [])
    material = [
        bytes(await site.hsm.unwrap(blob.l1 or "orbital-region-root", base64.b64decode(blob.text)))
        for blob in record.blobs
    ]
    if len(record.blobs) != tenant.version or held != material:
        raise Broken(
            2,
            f"{site.name} holds {len(held)} versions of {transit} in transit, {len(material)} in its record, and "
            f"{tenant.version} are declared",
        )


def _check_receipts(watch: Watch, tenant: Tenant) -> None:
    """A revocation that has converged has a receipt of every region that it reached."""
    for identity in filter(None, tenant.revoking):
        if not watch.converged(identity):
            continue
        rows = watch.ask("SELECT region, state FROM job_target WHERE correlation_id = $1", identity)
        proved = {row["region"] for row in rows} - {row["region"] for row in rows if row["state"] != FULFILLED}
        watch.proofs += len(proved)
        missing = sorted(set(tenant.regions) - proved)
        if missing:
            raise Broken(7, f"{identity} has converged, and {', '.join(missing)} have not proved it")
