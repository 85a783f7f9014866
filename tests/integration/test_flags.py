"""What checkers signal, in a real PostgreSQL."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from orbital.v1 import flag_pb2 as pb

from gateway.adapters.postgres.database import Database, Pool
from gateway.adapters.postgres.flags import PostgresFlags
from gateway.adapters.postgres.tasks import PostgresTasks
from gateway.domain.health import verdict
from gateway.flow.effects import Effects
from gateway.flow.signal import SignalFlow
from gateway.ports.flags import Hold, Signal
from runtime.policy import Decisions


def flag(component: str, reason: str = "AWAY", status: int = pb.HEALTH_STATUS_OUT_OF_SYNC) -> pb.Flag:
    made = pb.Flag(component=component, reason=reason, severity=pb.FLAG_SEVERITY_CRITICAL, message="It is away.")
    made.status = status
    made.since.seconds = 1_795_000_000
    return made


@pytest.fixture
async def flags(pool: Pool) -> PostgresFlags:
    for region in ("eu10", "us20"):
        await pool.execute(
            "INSERT INTO resource (name, kind, body, generation, effect_generation, correlation_id)"
            " VALUES ($1, 1, '', 1, 1, 'c')",
            f"regions/{region}",
        )
    return PostgresFlags(Database(pool), CLOCK)


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


CLOCK = Clock()


def signal(region: str, *found: pb.Flag, at: float | None = None) -> Signal:
    return Signal(region, found, at or time.time(), {"openbao": "2.7.2"})


async def test_a_region_that_was_never_heard_is_unknown(flags: PostgresFlags) -> None:
    (one,) = (await flags.flags("eu10"))["eu10"]
    assert (one.component, one.status, one.reason) == ("checker", pb.HEALTH_STATUS_UNKNOWN, "CHECKER_NEVER_HEARD")


async def test_the_whole_list_is_replaced(flags: PostgresFlags) -> None:
    await flags.store([signal("eu10", flag("openbao"), flag("hsm")), signal("us20", flag("hsm"))])
    await flags.store([signal("eu10", flag("hsm", "OTHER"), flag("disk", "LOW", pb.HEALTH_STATUS_DEGRADED))])
    found = await flags.flags("")
    assert [(one.region, one.component, one.reason) for one in found["eu10"]] == [
        ("eu10", "hsm", "OTHER"),
        ("eu10", "disk", "LOW"),
    ]
    assert [one.component for one in found["us20"]] == ["hsm"]
    await flags.store([signal("eu10")])
    assert (await flags.flags("eu10"))["eu10"] == []
    assert await flags.versions() == {"eu10": {"openbao": "2.7.2"}, "us20": {"openbao": "2.7.2"}}


async def test_a_list_that_was_overtaken_is_dropped(flags: PostgresFlags) -> None:
    now = time.time()
    await flags.store([signal("eu10", at=now)])
    await flags.store([signal("eu10", flag("hsm"), at=now - 5)])
    assert (await flags.flags("eu10"))["eu10"] == []
    await flags.store([signal("eu10", flag("hsm"), at=now - 500)])
    assert [one.component for one in (await flags.flags("eu10"))["eu10"]] == ["hsm"]


@pytest.mark.parametrize("ahead", [1, 30, 59, 60, 3600, 7200])
async def test_a_clock_that_was_ahead_and_is_right_again_is_heard(flags: PostgresFlags, ahead: float) -> None:
    await flags.store([signal("eu10", at=time.time() + ahead)])
    await flags.store([signal("eu10", flag("clock"))])
    assert [one.component for one in (await flags.flags("eu10"))["eu10"]] == ["clock"]


async def test_a_silent_checker_is_unknown_and_what_it_said_is_told_as_the_past(
    flags: PostgresFlags, pool: Pool
) -> None:
    await flags.store([signal("eu10", flag("hsm"), flag("openbao")), signal("us20")])
    await pool.execute("UPDATE checker SET heard_at = now() - interval '11 seconds'")
    CLOCK.ahead += 11
    found = await flags.flags("")
    (one,), (other,) = found["eu10"], found["us20"]
    assert (one.status, one.reason) == (pb.HEALTH_STATUS_UNKNOWN, "CHECKER_SILENT")
    assert list(one.consequences) == ["hsm: was AWAY", "openbao: was AWAY"]
    assert "it was healthy" in other.message
    assert verdict(found["us20"]) == (pb.HEALTH_STATUS_UNKNOWN, "CHECKER_SILENT")


async def test_a_silent_checker_whose_certificate_expired_meanwhile_says_so(flags: PostgresFlags, pool: Pool) -> None:
    now = time.time()
    ends = {"eu10": now - 5, "us20": now + 3600, "ap30": None}
    await pool.execute(
        "INSERT INTO resource (name, kind, body, generation, effect_generation, correlation_id) "
        "VALUES ('regions/ap30', 1, '', 1, 1, 'c')"
    )
    await flags.store([replace(signal(region), certificate_end=end) for region, end in ends.items()])
    await pool.execute("UPDATE checker SET heard_at = now() - interval '11 seconds'")
    CLOCK.ahead += 11
    found = await flags.flags("")
    reasons = {region: one.reason for region, (one,) in found.items()}
    assert reasons == {"eu10": "CERTIFICATE_EXPIRED", "us20": "CHECKER_SILENT", "ap30": "CHECKER_SILENT"}
    # The last signal counts, also where it came by no certificate.
    await flags.store([signal("eu10", at=now + 1)])
    assert await pool.fetchval("SELECT certificate_ends_at FROM checker WHERE region = 'eu10'") is None


async def test_nobody_is_silent_for_longer_than_signals_were_listened_to(flags: PostgresFlags, pool: Pool) -> None:
    await flags.store([signal("eu10"), Signal("us20", (), time.time(), {}, 0.5)])
    await pool.execute("UPDATE checker SET heard_at = now() - interval '11 seconds'")
    CLOCK.ahead += 3
    found = await flags.flags("")
    # A checker that promised to speak within half a second is silent after two; the other's promise is not due yet.
    assert found["eu10"] == []
    assert [one.reason for one in found["us20"]] == ["CHECKER_SILENT"]


class Nobody:
    """A policy that allows everything."""

    async def decide(self, _policy: str, _question: object, _identities: object) -> Decisions:
        return Decisions("d1", {})


async def test_a_held_lane_is_not_dispatched_to_until_it_is_released(flags: PostgresFlags, pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO task (id, resource_id, region, tenant, kind, lane, generation, correlation_id)"
        " SELECT gen_random_uuid(), id, u.region, 'acme', 1, u.lane, 1, 'c' FROM resource,"
        " (VALUES ('eu10', 2), ('us20', 2), ('eu10', 1)) AS u (region, lane) WHERE name = 'regions/eu10'"
    )
    tasks = PostgresTasks(Database(pool), "test")

    async def claimed(lane: int) -> list[str]:
        async with tasks.claiming(lane, 10) as batch:
            return sorted(task.region for task in batch.tasks)

    heard: asyncio.Queue[str] = asyncio.Queue()

    def hear(*said: object) -> None:
        heard.put_nowait(str(said[-1]))

    async with pool.acquire() as connection:
        await connection.add_listener("orbital_lane", hear)
        await flags.hold(["eu10"], [Hold("eu10", 2, "REGION_OUT_OF_SYNC", "It is.", "d1")])
        assert (await claimed(2), await claimed(1)) == (["us20"], ["eu10"])
        assert [(hold.lane, hold.reason) for hold in (await flags.holds())["eu10"]] == [(2, "REGION_OUT_OF_SYNC")]
        await flags.hold(["eu10"], [])
        assert await claimed(2) == ["eu10", "us20"]
        assert await flags.holds() == {}
        assert await asyncio.wait_for(heard.get(), 5) == "2 released"
        await connection.remove_listener("orbital_lane", hear)


async def test_signals_of_many_regions_are_stored_together(flags: PostgresFlags) -> None:
    flow = SignalFlow(flags, Effects(Nobody(), flags))
    running = asyncio.ensure_future(flow.run())
    try:
        async with asyncio.timeout(10):
            await asyncio.gather(*(flow.submit(signal(f"r{number}", flag("hsm"))) for number in range(200)))
    finally:
        running.cancel()
    assert len(await flags.versions()) == 200


async def test_what_became_of_flags_is_told_newest_first(flags: PostgresFlags, pool: Pool) -> None:
    region = f"told-{time.time_ns()}"
    await pool.execute(
        "INSERT INTO resource (name, kind, body, generation, effect_generation, correlation_id)"
        " VALUES ($1, 1, '', 1, 1, 'c')",
        f"regions/{region}",
    )
    await flags.store([signal(region, flag("hsm"))])
    await flags.store([signal(region, flag("hsm", "SLOW", pb.HEALTH_STATUS_DEGRADED))])
    await flags.store([signal(region)])
    found, _ = await flags.changes(region, None, 100, "")
    assert [(one.kind, one.status, one.reason) for one in found] == [
        (pb.FLAG_CHANGE_KIND_CLEARED, pb.HEALTH_STATUS_DEGRADED, "SLOW"),
        (pb.FLAG_CHANGE_KIND_CHANGED, pb.HEALTH_STATUS_DEGRADED, "SLOW"),
        (pb.FLAG_CHANGE_KIND_RAISED, pb.HEALTH_STATUS_OUT_OF_SYNC, "AWAY"),
    ]
    assert {(one.region, one.component) for one in found} == {(region, "hsm")}
    assert len((await flags.changes(region, None, 2, ""))[0]) == 2
    assert await flags.changes(region, found[0].change_time.ToDatetime(UTC) + timedelta(seconds=1), 100, "") == ([], "")
    assert await flags.changes("nobody", None, 100, "") == ([], "")
