"""What a signal has to be, and what becomes of it while the store is away."""

import asyncio

import pytest
from orbital.v1 import flag_pb2 as pb

from gateway.domain.health import ListeningTime, silence
from gateway.flow.effects import Effects
from gateway.flow.signal import SignalFlow, check_signal
from gateway.ports.flags import Hold, Signal
from runtime.errors import Invalid, Unavailable
from runtime.policy import Decisions, Refusal


def flag(**changes: object) -> pb.Flag:
    fields = {"component": "hsm", "status": 3, "severity": 3, "reason": "AWAY"} | changes
    return pb.Flag(**fields)  # type: ignore[arg-type]


def signal(*flags: pb.Flag, region: str = "eu10", at: float = 1.0) -> Signal:
    return Signal(region, flags, at, {})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (signal(flag(status=1)), "flags[0].status"),
        (signal(flag(status=9)), "flags[0].status"),
        (signal(flag(severity=0)), "flags[0].severity"),
        (signal(flag(component="No")), "flags[0].component"),
        (signal(flag(reason="")), "flags[0].reason"),
        (signal(flag(region="us20")), "flags[0].region"),
        (signal(flag(message="x" * 2001)), "flags[0].message"),
        (signal(flag(evidence=[pb.Evidence()])), "flags[0].evidence[0].name"),
        (signal(flag(), flag()), "flags"),
        (signal(*(flag(component=f"c{number}") for number in range(65))), "flags"),
        (signal(at=0.0), "send_time"),
        (Signal("eu10", (), 1.0, {}, 0.0), "period"),
        (Signal("eu10", (), 1.0, {}, 61.0), "period"),
    ],
)
def test_a_malformed_signal_is_refused_by_its_field(wrong: Signal, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_signal(wrong)
    assert refused.value.field == field


class FakeStore:
    def __init__(self) -> None:
        self.away = False
        self.stored: list[list[Signal]] = []

    async def store(self, signals: list[Signal]) -> None:
        if self.away:
            raise Unavailable("away")
        self.stored.append(signals)


class FakeEffects:
    def __init__(self) -> None:
        self.away = False
        self.asked: list[list[dict[str, object]]] = []

    async def decide(self, policy: str, question: dict[str, list[dict[str, object]]], _ids: list[str]) -> Decisions:
        assert policy == "effects"
        if self.away:
            raise Unavailable("away")
        self.asked.append(question["lanes"])
        held = [lane for lane in question["lanes"] if lane["lane"] == 2 and lane["status"] == "out_of_sync"]
        return Decisions("d1", {str(lane["id"]): Refusal("REGION_OUT_OF_SYNC", "Held.") for lane in held})


class FakeHolds:
    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}

    async def hold(self, regions: list[str], holds: list[Hold]) -> None:
        for region in regions:
            self.held[region] = [hold.lane for hold in holds if hold.region == region]


async def test_lanes_are_held_and_released_as_policy_says_and_it_is_asked_only_about_changes() -> None:
    policy, holds = FakeEffects(), FakeHolds()
    effects = Effects(policy, holds)  # type: ignore[arg-type]
    for _ in range(3):
        await effects.follow([signal(flag()), signal(region="us20")])
    assert holds.held == {"eu10": [2], "us20": []}
    assert len(policy.asked) == 1
    assert policy.asked[0][2] == {
        "id": "eu10/2", "region": "eu10", "lane": 2, "status": "out_of_sync", "reasons": ("hsm AWAY",),
    }  # fmt: skip
    await effects.follow([signal()])
    assert holds.held["eu10"] == []


async def test_while_policy_is_away_nothing_is_held_or_released_and_it_is_asked_again() -> None:
    policy, holds = FakeEffects(), FakeHolds()
    effects = Effects(policy, holds)  # type: ignore[arg-type]
    await effects.follow([signal(flag())])
    policy.away = True
    await effects.follow([signal()])
    assert holds.held == {"eu10": [2]}
    policy.away = False
    await effects.follow([signal()])
    assert holds.held == {"eu10": []}


async def test_of_one_region_the_last_signal_counts_and_a_store_that_is_away_is_told() -> None:
    store = FakeStore()
    flow = SignalFlow(store, Effects(FakeEffects(), FakeHolds()))  # type: ignore[arg-type]
    submitted = [asyncio.ensure_future(flow.submit(signal(at=at))) for at in (1.0, 2.0)]
    await asyncio.sleep(0)
    running = asyncio.ensure_future(flow.run())
    await asyncio.gather(*submitted)
    assert [[one.sent_at for one in stored] for stored in store.stored] == [[2.0]]
    store.away = True
    with pytest.raises(Unavailable):
        await flow.submit(signal())
    running.cancel()


def test_listening_begins_anew_after_what_held_signals_up() -> None:
    listening = ListeningTime(0.0)
    listening.stored(5.0, 5.1)
    assert listening.seconds(6.0) == 6.0
    listening.stored(6.0, 8.0)
    assert listening.seconds(9.0) == 1.0
    listening.failed()
    assert listening.seconds(60.0) == 0.0
    listening.stored(70.0, 70.1)
    assert listening.seconds(71.0) == pytest.approx(0.9)


def test_a_checker_that_speaks_every_second_is_silent_before_three() -> None:
    assert silence(1.0) == 2.8
