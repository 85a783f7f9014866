"""The frame: usage, connection files, speed of the help, and words of time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.cli.__main__ import STACK, stack_commands
from console.cli.moments import age, elapsed, parse_duration, spell_duration
from console.cli.shell import Verbs, run
from console.cli.suggest import did_you_mean, near
from tests.unit.console.conftest import Orbital


def test_unknown_command_has_the_nearest(orbital: Orbital) -> None:
    ended = orbital("aply")
    assert (ended.status, ended.err) == (2, 'Unknown command "aply". Did you mean apply?\n')


def test_wrong_usage_is_two(orbital: Orbital) -> None:
    assert orbital("get").status == 2
    assert orbital("apply").status == 2
    assert orbital("get", "regions", "-o", "xml").status == 2


def test_no_stack_is_unavailable(orbital: Orbital, tmp_path: Path) -> None:
    ended = orbital("get", "regions", "--data", str(tmp_path))
    assert ended.status == 6
    assert ended.err.startswith(f"No stack in {tmp_path} ")
    assert ended.err.endswith("Run: orbital up\n")


def test_unknown_identity_is_not_logged_in(orbital: Orbital, tmp_path: Path) -> None:
    state = {"gateway": {"mtls": "127.0.0.1:1"}, "identity": {"operator": {}, "auditor": {}}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    ended = orbital("get", "regions", "--data", str(tmp_path), "--as", "nobody")
    assert ended.status == 4
    assert "there are: operator, auditor" in ended.err


def test_missing_certificate_is_not_logged_in(orbital: Orbital, tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key", "ca")}
    state = {"gateway": {"mtls": "127.0.0.1:1"}, "identity": {"operator": files}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    ended = orbital("get", "regions", "--data", str(tmp_path))
    assert ended.status == 4
    assert "ca.pem cannot be read" in ended.err


def test_unexpected_errors_are_told_with_their_place(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Verbs("orbital", {"broken": f"{__name__}:nothing"})
    assert run(group, ["broken"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("A defect of this program: TypeError at ")
    assert "shell.py:" in said
    monkeypatch.setenv("ORBITAL_CLI_TRACEBACK", "1")
    run(group, ["broken"])
    assert "Traceback" in capfd.readouterr().err


nothing = object()


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Verbs("orbital", {})

    @group.command()
    def long() -> None:
        raise KeyboardInterrupt

    assert run(group, ["long"]) == 130


def test_answering_help_imports_nothing_slow() -> None:
    code = "import sys; from console.cli.__main__ import main; main(['get', '--help']); print(sorted(sys.modules))"
    done = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    slow = {"'grpc'", "'rich'", "'yaml'", "'pydantic'", "'google.protobuf'", "'structlog'"}
    assert not [name for name in slow if name in done.stdout.splitlines()[-1]]


def test_help_says_of_the_stack_what_the_stack_says() -> None:
    said = {command.name: command.get_short_help_str(90) for command in stack_commands()}
    assert said == STACK


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86_400), ("1h30m", 5_400), ("250ms", 0.25), ("1.5h", 5_400), ("2d", 172_800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1 h", "1y"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


def test_durations_are_spelt_as_they_are_read() -> None:
    assert [spell_duration(seconds) for seconds in (86_400, 5_400, 0.25, 0)] == ["1d", "1h30m", "250ms", "0s"]


def test_ages_and_elapsed_times() -> None:
    now = 1_795_000_000.0
    ages = [age("2026-11-18T11:06:40.000Z", now + seconds) for seconds in (3, 134, 3_000, 10_000, 400_000)]
    assert ages == ["3s", "2m14s", "50m", "2h", "4d"]
    assert age(None, now) == "never"
    assert [elapsed(seconds) for seconds in (0.4123, 3.21, 125)] == ["412 ms", "3.2 s", "2 min 05 s"]


def test_near_names() -> None:
    assert near("us2", ["us21", "us20", "eu10"]) == ["us20", "us21"]
    assert did_you_mean("zzz", ["apply"]) == ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("orbital ge", "plain,get"), ("orbital get --te", "plain,--tenant"), ("orbital op", "plain,open")],
)
def test_the_shell_completes(typed: str, offered: str) -> None:
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_ORBITAL_COMPLETE": "bash_complete"}
    command = (sys.executable, "-m", "console.cli")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **asked})
    assert offered in done.stdout.splitlines()
