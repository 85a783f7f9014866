"""A wrong clock is one flag with its offset, and what follows from it is told beneath, not beside it."""

from __future__ import annotations

import pytest

from checker.adapters.probes.clock import ClockProbe
from checker.domain.cause import BY_CLOCK, CLOCK_OFFSET
from checker.domain.flag import FLAPPING, judge
from checker.domain.sample import Finding, Sample, Status, healthy
from checker.domain.window import Rule, Window, observe
from checker.flow.aggregate import Aggregate
from checker.ports.control import Host

NOW, HOURS = 1_800_000_000.0, (-48.0, -2.0, 2.0, 48.0)
RULE = Rule()
EFFECTS = [(component, reason) for component, reasons in BY_CLOCK.items() for reason in sorted(reasons - {FLAPPING})]


def window(component: str, finding: Finding, begun: float, looks: int = 4) -> Window:
    found = Window(component)
    for index in range(looks):
        found = observe(found, Sample(component, begun + index * 0.5, finding), RULE)
    return found


def flags(effects: dict[str, Finding], clock: Finding, begun: float = NOW) -> list[tuple[str, str, tuple[str, ...]]]:
    windows = {name: window(name, finding, begun) for name, finding in (effects | {"clock": clock}).items()}
    policy = window("policy", healthy(), NOW)
    return [(one.component, one.reason, one.consequences) for one in judge(windows, policy, {}, NOW + 2, RULE)]


async def offset(hours: float, measured: float | None, moved: float = 0.0) -> Finding:
    known = None if measured is None else (measured, NOW)
    return await ClockProbe(lambda: known, lambda: NOW, 2.0, 1.0, moved=lambda: moved + hours * 3600).look()


@pytest.mark.parametrize("hours", HOURS)
async def test_one_that_is_set_is_told_with_the_offset_whether_the_control_plane_answers_or_not(hours: float) -> None:
    for measured in (0.0, None):
        found = await offset(hours, measured)
        assert found.reason == CLOCK_OFFSET
        assert f"{abs(hours * 3600):.1f} s {'ahead' if hours > 0 else 'behind'}" in found.message
    assert ("offset_seconds", f"{-hours * 3600:.3f}") in (await offset(hours, 0.0)).values


@pytest.mark.parametrize("hours", HOURS)
async def test_one_that_was_wrong_at_the_start_is_told_and_once_it_is_set_right_no_more(hours: float) -> None:
    # Its own steady time began at the wrong time: the control plane's is the other way.
    assert (await offset(0.0, -hours * 3600)).reason == CLOCK_OFFSET
    assert (await offset(-hours, -hours * 3600)).status is Status.HEALTHY


@pytest.mark.parametrize(("component", "reason"), EFFECTS)
async def test_each_effect_is_beneath_the_clock_and_alone_without_it(component: str, reason: str) -> None:
    effect = {component: Finding(Status.OUT_OF_SYNC, reason, "It is as it is.")}
    assert flags(effect, await offset(2.0, 0.0)) == [("clock", CLOCK_OFFSET, (f"{component}: {reason}",))]
    assert flags(effect, healthy()) == [(component, reason, ())]


async def test_all_effects_together_are_one_flag() -> None:
    effects = {name: Finding(Status.DEGRADED, min(reasons), "x") for name, reasons in BY_CLOCK.items()}
    ((component, reason, beneath),) = flags(effects, await offset(-2.0, None))
    assert (component, reason, len(beneath)) == ("clock", CLOCK_OFFSET, len(effects))


@pytest.mark.parametrize("status", [Status.DEGRADED, Status.UNKNOWN, Status.OUT_OF_SYNC])
async def test_a_clock_is_as_bad_as_what_follows_from_it(status: Status) -> None:
    windows = {
        "openbao": window("openbao", Finding(status, "OPENBAO_UNREACHABLE", "x"), NOW),
        "clock": window("clock", await offset(2.0, 0.0), NOW),
    }
    (found,) = judge(windows, window("policy", healthy(), NOW), {}, NOW + 2, RULE)
    assert found.reason == CLOCK_OFFSET
    assert found.status is status


async def test_what_was_wrong_long_before_the_clock_was_is_no_effect_of_it() -> None:
    windows = {
        "openbao": window("openbao", Finding(Status.OUT_OF_SYNC, "OPENBAO_UNREACHABLE", "x"), NOW - 60, looks=130),
        "clock": window("clock", await offset(2.0, 0.0), NOW),
    }
    found = judge(windows, window("policy", healthy(), NOW), {}, NOW + 2, RULE)
    assert {one.component for one in found} == {"openbao", "clock"}


@pytest.mark.parametrize("hours", HOURS)
def test_a_checker_whose_clock_is_set_goes_on_seeing(hours: float) -> None:
    """Samples were of the past for hours, or at once too old."""
    steady = [0.0]
    host = Host(lambda: NOW + steady[0], lambda: steady[0], lambda: 0.5, lambda: hours * 3600)
    aggregate = Aggregate(["openbao"], RULE, host)
    aggregate.asked(healthy())
    for finding in (healthy(), Finding(Status.OUT_OF_SYNC, "OPENBAO_SEALED", "x"), healthy()):
        for _ in range(4):
            steady[0] += 0.5
            aggregate.asked(healthy())
            aggregate.add("openbao", finding)
        assert [one.reason for one in aggregate.flags()] == ([finding.reason] if finding.reason else [])
