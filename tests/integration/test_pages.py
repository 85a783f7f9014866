"""Walking the pages of what is kept, while more is kept and what is there is repeated: each row once, none left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from orbital.v1.approval_pb2 import Approval, ListApprovalsRequest
from orbital.v1.registry_pb2 import ListJobsRequest

from gateway.adapters.postgres.approval import Approvals, PostgresApprovals
from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.engines import PostgresEngines
from gateway.adapters.postgres.security import PostgresSecurity
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.ports.approval import Waiting
from gateway.ports.engines import Decided
from gateway.ports.security import SecurityEvent
from gateway.ports.store import Denial
from runtime.policy import Refusal

SIZE, ROWS = 3, 10
BEGIN = datetime(2026, 11, 28, tzinfo=UTC)
Page = tuple[Sequence[str], str]


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing: `keep` keeps the row of a number, or repeats it; `page` reads a page of names."""

    keep: Callable[[Database, int], Awaitable[None]]
    page: Callable[[Database, str], Awaitable[Page]]


async def _letter(database: Database, number: int) -> None:
    await PostgresTasks(database, "gateway").keep_dead_letter("eu10", 1, f"R{number}", b"x")


async def _letters(database: Database, token: str) -> Page:
    answer = await PostgresReads(database).dead_letters(SIZE, token)
    return [one.reason for one in answer.dead_letters], answer.next_page_token


async def _event(database: Database, number: int) -> None:
    event = SecurityEvent(region="eu10", subject="tasks", reason=f"R{number}", message="message", principal="somebody")
    await PostgresSecurity(database).keep_event(event)


async def _events(database: Database, token: str) -> Page:
    answer = await PostgresReads(database).security_events(SIZE, token)
    return [one.reason for one in answer.events], answer.next_page_token


async def _denial(database: Database, number: int) -> None:
    denial = Denial(f"d{number}", "ingress", "somebody", "Declare", Refusal(f"R{number}", "no"), "", "opa")
    await PostgresTasks(database, "gateway").keep_denials([denial])


async def _denials(database: Database, token: str) -> Page:
    answer = await PostgresReads(database).denials("", SIZE, token)
    return [one.reason for one in answer.denials], answer.next_page_token


async def _decision(database: Database, number: int) -> None:
    # Several are made at the same time, and some names are not ASCII.
    at = BEGIN + timedelta(seconds=number // 4)
    made = Decided(f"é{number}", "ingress", "somebody", "Declare", 1, 0, f"R{number}", "r1", (), at)
    await PostgresEngines(database, 1.0).keep_decisions("opa", "instance", [made])


async def _decisions(database: Database, token: str) -> Page:
    found, more = await PostgresEngines(database, 1.0).decisions("", SIZE, token)
    return [one.reason for one in found], more


async def _approval(database: Database, number: int) -> None:
    found = Approval(id=f"{number:032x}", subject=f"tenants/t{number}", reason=f"R{number}", asked_by="somebody")
    found.restoration.tenant = f"t{number}"
    async with database.transaction("test") as session:
        if await Approvals(session).open(found, Waiting()) is None:
            await Approvals(session).ask(found, Waiting(), 900)


async def _approvals(database: Database, token: str) -> Page:
    request = ListApprovalsRequest(kind="restoration", open_only=True, page_token=token)
    found, more = await PostgresApprovals(database).approvals(request, SIZE)
    return [one.reason for one in found], more


async def _job(database: Database, number: int) -> None:
    async with database.connection("test") as connection:
        await connection.execute(
            "INSERT INTO job (correlation_id, actor, action, detail, decision_id, process, total) "
            "VALUES ($1, 'somebody', 'declare', $2, '', 'gateway', 0) ON CONFLICT DO NOTHING",
            f"{number:032x}",
            f"R{number}",
        )


async def _jobs(database: Database, token: str) -> Page:
    answer = await PostgresReads(database).jobs(ListJobsRequest(page_token=token), SIZE)
    return [one.detail for one in answer.jobs], answer.next_page_token


LISTINGS = {
    "dead letters": Listing(_letter, _letters),
    "security events": Listing(_event, _events),
    "denials": Listing(_denial, _denials),
    "decisions": Listing(_decision, _decisions),
    "approvals": Listing(_approval, _approvals),
    "jobs": Listing(_job, _jobs),
}
# Of these each call keeps one more row: none is repeated.
SINGLE = {"dead letters"}


@pytest.mark.parametrize("name", LISTINGS)
async def test_every_row_is_on_one_page(pool: Pool, name: str) -> None:
    database, listing = Database(pool), LISTINGS[name]
    for number in range(ROWS):
        await listing.keep(database, number)
    found: list[str] = []
    token, later = "", ROWS
    while True:
        page, token = await listing.page(database, token)
        assert len(page) <= SIZE
        found += page
        if not token:
            break
        # Newer ones come, and old ones are repeated, before the next page is read.
        await listing.keep(database, later)
        if name not in SINGLE:
            await listing.keep(database, ROWS - 1)
            await listing.keep(database, 0)
        later += 1
    assert len(found) == len(set(found))
    assert {f"R{number}" for number in range(ROWS)} <= set(found)
