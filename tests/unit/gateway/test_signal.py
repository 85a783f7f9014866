"""What a signal has to be, and what becomes of it while the store is away."""

import asyncio

import pytest
from orbital.v1 import flag_pb2 as pb

from gateway.domain.health import Listening, silence
from gateway.flow.signal import SignalFlow, check_signal
from gateway.ports.flags import Signal
from runtime.errors import Invalid, Unavailable


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


async def test_of_one_region_the_last_signal_counts_and_a_store_that_is_away_is_told() -> None:
    store = FakeStore()
    flow = SignalFlow(store)  # type: ignore[arg-type]
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
    listening = Listening(0.0)
    listening.stored(5.0, 5.1)
    assert listening.seconds(6.0) == 6.0
    listening.stored(6.0, 8.0)
    assert listening.seconds(9.0) == 1.0
    listening.failed()
    assert listening.seconds(60.0) == 0.0
    listening.stored(70.0, 70.1)
    assert listening.seconds(71.0) == pytest.approx(0.9)


def test_a_checker_that_speaks_every_second_is_silent_after_three_and_a_half() -> None:
    assert silence(1.0) == 3.5
