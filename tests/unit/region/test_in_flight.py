"""What is in hand, what may be taken beside it, and outcomes that share a transaction."""

from __future__ import annotations

import asyncio

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain.result import done
from region.domain.work import Entry, Settled
from region.flow.in_flight import Commits, InFlight
from runtime.errors import Unavailable
from tests.unit.region.make import Estate

ESTATE = Estate()
CORE = ("acme", "core")


def entry(task: pb.Task, row: int = 1) -> Entry:
    return Entry(row, task, task.resource.name, task.resource.generation, 0.0)


def row(number: int) -> Settled:
    return Settled(entry(ESTATE.system(), number), done(1), b"")


def test_what_shares_a_scope_or_a_resource_with_what_is_in_flight_is_left() -> None:
    flight = InFlight()
    moved = ESTATE.link(2)
    moved.resource.link.system = "other"
    waiting = [entry(ESTATE.service(), 2), entry(ESTATE.define_tenant(), 3), entry(moved, 4)]
    other = entry(Estate("other").system(), 5)
    assert flight.free([*waiting, other]) == [*waiting, other]
    flight.begin(CORE, [entry(ESTATE.link())])
    # The tenant's own tasks are a scope beside those of its Systems; the Link that moved is the one in flight.
    assert flight.free([*waiting, other]) == [waiting[1], other]
    assert (flight.scopes, flight.rows) == (1, {1})
    flight.end(CORE)
    assert flight.free([*waiting, other]) == [*waiting, other]
    assert (flight.scopes, flight.rows) == (0, set())


def test_what_is_not_understood_waits_for_nobody() -> None:
    flight = InFlight()
    flight.begin(CORE, [entry(ESTATE.system())])
    odd = ESTATE.system()
    odd.resource.name = "tenants/Not A Name"
    assert flight.free([entry(odd, 2)]) == [entry(odd, 2)]


async def test_a_tenants_systems_wait_for_its_own_tasks_and_for_no_others() -> None:
    flight = InFlight()
    flight.begin(("acme", ""), [entry(ESTATE.define_tenant())])
    await asyncio.wait_for(flight.after_own(("other", "core")), 1)
    await asyncio.wait_for(flight.after_own(("acme", "")), 1)
    waiting = asyncio.ensure_future(flight.after_own(CORE))
    await asyncio.sleep(0)
    assert not waiting.done()
    flight.end(("acme", ""))
    await asyncio.wait_for(waiting, 1)


class Journal:
    """Takes rows when it is told to."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.go = asyncio.Semaphore(0)
        self.broken = False

    async def commit(self, rows: list[Settled]) -> None:
        await self.go.acquire()
        if self.broken:
            raise OSError
        self.taken.append([each.entry.row for each in rows])


async def test_what_comes_during_a_transaction_shares_the_next() -> None:
    journal = Journal()
    commits = Commits(journal.commit)
    keeping = [asyncio.ensure_future(commits.keep([row(0)]))]
    await asyncio.sleep(0)
    keeping += [asyncio.ensure_future(commits.keep([row(number)])) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    journal.go.release()
    await keeping[0]
    assert journal.taken == [[0]]
    assert not any(each.done() for each in keeping[1:])
    journal.go.release()
    await asyncio.gather(*keeping[1:])
    assert journal.taken == [[0], [1, 2, 3]]


async def _shared(commits: Commits, journal: Journal) -> list[asyncio.Future[None]]:
    """Two whose rows are to be written by the first of them, as soon as the journal goes on."""
    before = asyncio.ensure_future(commits.keep([row(0)]))
    await asyncio.sleep(0)
    both = [asyncio.ensure_future(commits.keep([row(number)])) for number in (1, 2)]
    await asyncio.sleep(0)
    journal.go.release()
    await before
    await asyncio.sleep(0)
    return both


async def test_nobody_is_told_that_his_rows_were_kept_when_they_were_not() -> None:
    journal = Journal()
    commits = Commits(journal.commit)
    both = await _shared(commits, journal)
    journal.broken = True
    journal.go.release()
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(first, OSError)
    assert isinstance(second, Unavailable)
    journal.broken = False
    journal.go.release()
    await commits.keep([row(3)])
    assert journal.taken == [[0], [3]]


async def test_whoever_was_to_write_for_others_and_was_cancelled_leaves_them_unkept() -> None:
    journal = Journal()
    commits = Commits(journal.commit)
    first, second = await _shared(commits, journal)
    first.cancel()
    with pytest.raises(Unavailable):
        await second
    assert journal.taken == [[0]]


async def test_what_comes_while_a_transaction_lingers_is_in_it() -> None:
    journal, asked = Journal(), list[int]()

    def linger(rows: int) -> float:
        asked.append(rows)
        return 0.01

    commits = Commits(journal.commit, linger)
    keeping = [asyncio.ensure_future(commits.keep([row(0)]))]
    await asyncio.sleep(0)
    keeping.append(asyncio.ensure_future(commits.keep([row(1)])))
    journal.go.release()
    await asyncio.gather(*keeping)
    assert (journal.taken, asked) == ([[0, 1]], [1])
