"""Schedules of changes and faults, each from its seed: every invariant holds, and every planted bug is found."""

from collections.abc import Callable

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.pool import Place, run_all
from tests.simulation.run import Outcome

SHOWN = 5


def told(outcomes: list[Outcome]) -> str:
    """What broke, with the history of the first one and how it is run again."""
    lines = [f"seed {outcome.seed}: {outcome.broken}" for outcome in outcomes]
    first = outcomes[0]
    again = f"./orbital test simulation --seeds 1 --first-seed {first.seed}"
    return "\n".join([*lines, "", f"Run it again: {again}", f"The history of seed {first.seed}:", *first.history])


@pytest.mark.timeout(36_000)
def test_every_invariant_holds_in_every_schedule(place: Place, pytestconfig: pytest.Config) -> None:
    first, count = pytestconfig.getoption("--first-seed"), pytestconfig.getoption("--seeds")
    outcomes = list(run_all(place, range(first, first + count)))
    assert len(outcomes) == count
    assert sum(outcome.looks for outcome in outcomes) > 10 * count
    # What holds of revocations was looked at, and is not merely never denied.
    for checked in ("refusals", "proofs"):
        assert sum(outcome.extra.get(checked, 0) for outcome in outcomes) > count // 10, checked
    broken = [outcome for outcome in outcomes if outcome.broken]
    if broken:
        pytest.fail(told(broken[:SHOWN]), pytrace=False)


@pytest.mark.timeout(36_000)
def test_every_invariant_holds_while_clocks_are_set(place: Place, pytestconfig: pytest.Config) -> None:
    first, count = pytestconfig.getoption("--first-seed"), max(1, pytestconfig.getoption("--seeds") // 4)
    outcomes = list(run_all(place, range(first, first + count), clocks=True))
    assert sum(any(line.lstrip().startswith("clock") or " clock " in line for line in one.history) for one in outcomes)
    broken = [outcome for outcome in outcomes if outcome.broken]
    if broken:
        pytest.fail(told(broken[:SHOWN]), pytrace=False)


@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(
    place: Place, bug: str, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    for outcome in run_all(place, range(pytestconfig.getoption("--bug-seeds")), bug):
        if outcome.broken:
            record_property("found by seed", outcome.seed)
            return
    pytest.fail(f"{bug} was not found")
