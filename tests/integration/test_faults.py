"""What is wrong between the gateway and the broker, on PostgreSQL."""

import asyncio

import pytest

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.faults import PostgresFaults
from gateway.ports.lanes import BrokerFault

WRONG = BrokerFault("QUEUE_MISCONFIGURED", "orbital.lane.1.eu10", delivered=True)
STOPPED = BrokerFault("QUEUE_REFUSED", "orbital.lane.1.us20")
AWAY = BrokerFault("BROKER_BLOCKED", "memory", shared=True)


@pytest.fixture
async def faults(pool: Pool) -> PostgresFaults:
    return PostgresFaults(Database(pool), "gateway")


async def test_faults_are_kept_checked_after_a_growing_wait_and_cleared(faults: PostgresFaults) -> None:
    assert await faults.next_check(1) is None
    await faults.keep({"eu10": WRONG, "us20": STOPPED, "ap30": AWAY}, 1)
    assert [(each.region, each.blocks) for each in await faults.lane_faults("")] == [("eu10", False), ("us20", True)]
    assert [each.reason for each in await faults.lane_faults("us20")] == [STOPPED.reason]
    assert await faults.to_check(1, 10) == []
    waits = []
    for _ in range(8):
        waits.append(await faults.next_check(1) or 0.0)
        await faults.keep({"eu10": WRONG, "us20": STOPPED, "ap30": AWAY}, 1)
        await faults.keep({"eu10": WRONG}, 0)
    assert waits[0] < waits[1] < waits[3]
    assert 25 < (await faults.next_check(1) or 0.0) <= 30
    assert 1.5 < (await faults.next_check(0) or 0.0) <= 2
    await faults.clear(["eu10", "us20", "ap30"], 1)
    assert [each.lane for each in await faults.lane_faults("")] == [0]
    await asyncio.sleep(2.1)
    assert await faults.to_check(0, 10) == ["eu10"]
    await faults.call_direct()


async def test_what_a_process_says_is_known_until_it_says_otherwise(faults: PostgresFaults, pool: Pool) -> None:
    await faults.say("broker", AWAY)
    (first,) = await faults.process_faults()
    await faults.say("broker", AWAY)
    assert [(each.process, each.reason, each.since) for each in await faults.process_faults()] == [
        ("gateway", AWAY.reason, first.since)
    ]
    await pool.execute("UPDATE process_flag SET heard_at = now() - interval '11 seconds'")
    assert await faults.process_faults() == []
    await faults.say("broker", None)
    assert await pool.fetchval("SELECT count(*) FROM process_flag") == 0
