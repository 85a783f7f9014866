"""The page of the invariants says what the simulation checks, and names tests and bugs that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation import invariants
from tests.simulation.bugs import BUGS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "invariants.md").read_text()
ROWS = {
    int(cells[0]): cells[1:]
    for row in re.findall(r"^\| \d+ \|.*\|$", PAGE, re.MULTILINE)
    if (cells := [cell.strip() for cell in row.strip("|").split("|")])
}
BROKEN = {int(number) for number in re.findall(r"Broken\(\s*(\d+),", Path(invariants.__file__).read_text())}


def test_the_page_has_every_invariant_by_its_number() -> None:
    assert {number: cells[0] for number, cells in ROWS.items()} == invariants.INVARIANTS


def test_the_page_says_which_are_not_simulated() -> None:
    assert {number for number, cells in ROWS.items() if cells[1] != "not"} == BROKEN


def test_every_invariant_names_tests_that_there_are() -> None:
    for number, (_, _, tests) in ROWS.items():
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, number
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(), (number, path, test)


def test_the_page_has_every_planted_bug_and_what_came_of_it() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .+ \| (?:not in the first )?(\d+) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == BUGS.keys()
    assert len(BUGS) >= 8
    assert all(int(seed) < 500 for seed in rows.values())
