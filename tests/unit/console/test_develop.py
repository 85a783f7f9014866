"""`check` and `test`: what they run, and that a failure keeps its status."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.console.conftest import Orbital


class Runs:
    """Stands for the tools: remembers the command lines; one that contains a key of `statuses` ends with its value."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.statuses: dict[str, int] = {}
        self.environments: list[Any] = []

    def __call__(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        line = " ".join(command)
        self.commands.append(line)
        self.environments.append(options.get("env"))
        status = next((status for part, status in self.statuses.items() if part in line), 0)
        empty: Any = "" if options.get("text") else b""
        return subprocess.CompletedProcess(list(command), status, empty, empty)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    fake = Runs()
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def test_all_suites_are_one_run_in_order(runs: Runs, orbital: Orbital) -> None:
    assert orbital("test").status == 0
    (line,) = runs.commands
    assert line.endswith(" tests/contract tests/integration tests/unit tests/system")


@pytest.mark.parametrize(("cores", "processes"), [(1, ""), (2, "-n 2 "), (64, "-n 4 ")])
def test_suites_run_beside_one_another_where_there_are_cores(
    runs: Runs, orbital: Orbital, monkeypatch: pytest.MonkeyPatch, cores: int, processes: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert orbital("test", "unit", "contract").status == 0
    assert orbital("test", "system").status == 0
    several, alone = runs.commands
    assert several.endswith(f"pytest {processes}tests/unit tests/contract")
    assert alone.endswith("pytest tests/system")


def test_pytests_status_is_kept(runs: Runs, orbital: Orbital) -> None:
    runs.statuses = {"tests/contract": 3}
    assert orbital("test").status == 3


def test_one_suite_with_an_expression(runs: Runs, orbital: Orbital) -> None:
    assert orbital("test", "unit", "-k", "something").status == 0
    assert runs.commands[0].endswith("tests/unit -k something")


@pytest.mark.parametrize("suite", ["transports", "soak"])
def test_the_long_tests_run_only_when_they_are_named(runs: Runs, orbital: Orbital, suite: str) -> None:
    assert orbital("test", suite).status == 0
    assert runs.commands[0].endswith(f"pytest tests/{suite}")


def test_the_broker_that_is_tested_with_is_chosen(runs: Runs, orbital: Orbital) -> None:
    assert orbital("test", "transports", "--rabbitmq", "4").status == 0
    assert runs.environments[0]["ORBITAL_STACK__RABBITMQ_VERSION"] == "4"
    assert orbital("test", "transports", "--rabbitmq", "5").status == 2


def test_unknown_suite_is_wrong_usage(runs: Runs, orbital: Orbital) -> None:
    ended = orbital("test", "unti")
    assert (ended.status, runs.commands) == (2, [])
    assert ended.err.startswith('Unknown suite "unti". Expected one of contract,')


def test_check_names_what_does_not_hold(runs: Runs, orbital: Orbital) -> None:
    assert orbital("check").status == 0
    runs.statuses = {"ruff check": 1, "mypy": 1}
    ended = orbital("check")
    assert ended.status == 1
    assert ended.err.endswith("Checks that do not hold: lint, types.\n")


def test_check_of_one_thing(runs: Runs, orbital: Orbital) -> None:
    assert orbital("check", "lint").status == 0
    assert next(line for line in runs.commands if "git" not in line).endswith("ruff check .")
    assert orbital("check", "lnit").status == 2
