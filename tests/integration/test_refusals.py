"""Whatever is refused, however often: what is kept of it is bounded, and says how much there was."""

from __future__ import annotations

import pytest

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.pool import Pool
from gateway.adapters.postgres.security import PostgresSecurity
from gateway.adapters.postgres.see import PostgresReads
from gateway.adapters.postgres.tasks import MOST_DENIALS, MOST_LETTER_BYTES, MOST_LETTERS, PostgresTasks
from gateway.ports.security import SecurityEvent
from gateway.ports.store import Denial
from runtime.policy import Refusal

NOBODY = ""
CHANGE = "01a20a2e83b17cecb1ad73c1a8f60dd1"


def denial(number: int, *, who: str = NOBODY, action: str = "/orbital.v1.X/Y", correlation: str = "") -> Denial:
    refusal = Refusal("NO_IDENTITY", f"Who are you, {number}?")
    return Denial(f"d{number:06}", "ingress", who, action, refusal, correlation, "opa-x")


async def rows(pool: Pool, table: str) -> int:
    found: int = await pool.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def audited(pool: Pool, kind: str) -> int:
    found: int = await pool.fetchval("SELECT count(*) FROM audit WHERE kind = $1", kind)
    return found


async def test_refusals_that_are_alike_are_one_with_a_count(pool: Pool) -> None:
    tasks, before = PostgresTasks(Database(pool), "test"), await audited(pool, "denial")
    for begin in range(0, 2000, 100):
        await tasks.keep_denials([denial(number) for number in range(begin, begin + 100)])
    (one,) = (await PostgresReads(Database(pool)).denials("", 100, "")).denials
    assert (one.count, one.decision_id) == (2000, "d001999")
    assert await audited(pool, "denial") == before + 1


async def test_a_log_that_is_delivered_twice_counts_once(pool: Pool) -> None:
    tasks = PostgresTasks(Database(pool), "test")
    for _ in range(3):
        await tasks.keep_denials([denial(1), denial(2)])
    assert [one.count for one in (await PostgresReads(Database(pool)).denials("", 100, "")).denials] == [2]


@pytest.mark.parametrize("field", ["action", "correlation"])
async def test_a_caller_that_varies_what_it_asks_is_bounded_and_hides_nobody(field: str, pool: Pool) -> None:
    tasks, before = PostgresTasks(Database(pool), "test"), await audited(pool, "denial")
    for begin in range(0, 3000, 100):
        batch = [denial(number, **{field: f"{number:032x}"}) for number in range(begin, begin + 100)]
        await tasks.keep_denials([*batch, denial(begin, who="spiffe://orbital/person/auditor", correlation=CHANGE)])
    assert await rows(pool, "denial") <= MOST_DENIALS + 102
    assert await audited(pool, "denial") - before <= MOST_DENIALS + 102
    assert await pool.fetchval("SELECT sum(count) FROM denial WHERE principal = ''") == 3000
    (other,) = (await PostgresReads(Database(pool)).denials(CHANGE, 100, "")).denials
    assert (other.count, other.principal) == (30, "spiffe://orbital/person/auditor")


async def test_what_is_long_is_kept_short(pool: Pool) -> None:
    long = "x" * 70_000
    refusal = Refusal(long, long)
    await PostgresTasks(Database(pool), "test").keep_denials([Denial("d", long, long, long, refusal, long, long)])
    assert await pool.fetchval("SELECT octet_length(denial::text) FROM denial") < 4096


@pytest.mark.parametrize(("number", "size"), [(400, 65_536), (1000, 10), (300, 20_000)])
async def test_dead_letters_of_a_region_are_bounded_and_the_newest_stay(number: int, size: int, pool: Pool) -> None:
    tasks, before = PostgresTasks(Database(pool), "test"), await audited(pool, "dead_letter")
    await tasks.keep_dead_letter("us20", 1, "UNREADABLE: of another", b"x")
    for each in range(number):
        await tasks.keep_dead_letter("eu10", 1, f"UNREADABLE: {each}", b"x" * size)
    kept = await pool.fetch("SELECT reason, octet_length(payload) AS size FROM dead_letter WHERE region = 'eu10'")
    assert len(kept) <= MOST_LETTERS
    assert sum(row["size"] for row in kept) <= MOST_LETTER_BYTES
    newest = {f"UNREADABLE: {each}" for each in range(number - len(kept), number)}
    assert {row["reason"] for row in kept} == newest
    answer = await PostgresReads(Database(pool)).dead_letters(1000, "")
    assert answer.total == len(kept) + 1
    assert answer.dropped == number - len(kept)
    assert await audited(pool, "dead_letter") - before <= 101


async def test_security_events_merge_whatever_they_repeat(pool: Pool) -> None:
    events = PostgresSecurity(Database(pool))
    for number in range(400):
        await events.keep_event(SecurityEvent("eu10", "reports", "REPLAYED", f"It is of {number}", "p"))
    (one,) = (await PostgresReads(Database(pool)).security_events(1000, "")).events
    assert (one.count, one.message) == (400, "It is of 399")
