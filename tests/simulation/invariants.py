"""What holds whatever happens: looked at while it happens, and once everything is mended."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from region.domain import keys
from tests.simulation.fleet import Fleet, Site
from tests.simulation.schedule import People, Tenant

LOOK_SECONDS = 0.5
# Simulated seconds within which everything is at rest after the last fault.
SETTLE_SECONDS = 240.0
# The state of a target of a change that was fulfilled.
FULFILLED = 2


class Broken(AssertionError):
    """An invariant does not hold."""


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
        """What was observed is compared anew: the database was restored."""
        self._observed.clear()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look."""
        self.looks += 1
        for row in self.ask("SELECT resource_id, region, observed_generation FROM placement"):
            key = (row["resource_id"], row["region"])
            if row["observed_generation"] < self._observed.get(key, 0):
                raise Broken(f"observed generation of {key} went back to {row['observed_generation']}")
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
                raise Broken(f"{name} serves {tenant.name}, whose revocation {effective[0]} has converged")

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
    raise Broken(f"not at rest after {SETTLE_SECONDS:.0f} s: {_left(watch)[:10]}")


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
        raise Broken("nothing is placed anywhere: nothing was looked at")
    for tenant in people.tenants:
        for name in tenant.regions:
            await _check_tenant(watch.fleet.sites[name], tenant)
        _check_receipts(watch, tenant)


async def _check_tenant(site: Site, tenant: Tenant) -> None:
    said = await site.serves(tenant.name)
    transit = f"{tenant.name}.s0"
    if tenant.usable:
        if said:
            raise Broken(f"{site.name} refuses {tenant.name} with {said}, which is linked")
        await _check_versions(site, tenant, transit)
        return
    if not said:
        raise Broken(f"{site.name} serves {tenant.name}, which is not to be served")
    if transit in site.transit.keys:
        raise Broken(f"{site.name} still holds the L2 of {tenant.name} in transit")


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
            f"{site.name} holds {len(held)} versions of {transit} in transit, {len(material)} in its record, and "
            f"{tenant.version} are declared"
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
            raise Broken(f"{identity} has converged, and {', '.join(missing)} have not proved it")
