"""Every end of a command is a sentence and an exit status, whatever the arguments, the files and the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from console.cli.__main__ import STACK, VERBS, main, stack_commands
from console.cli.shell import Verbs, run
from runtime import errors
from tests.unit.console.conftest import Orbital
from tests.unit.console.gateway import FakeGateway

ROOT = Path(__file__).resolve().parents[3]
ODD = (
    "gef\udce4hrdet",
    "\x1b[2J",
    "\ud800",
    "\u202eabc",
    "",
    "-",
    "--",
    "tenants/../x",
    "a" * 5_000,
    "\n",
    "0",
    "%s{}",
)
RAISED = (
    *(kind("A sentence") for kind in errors.STATUS),
    OSError(28, "No space left on device"),
    PermissionError(13, "Permission denied", "/sys/x"),
    UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "invalid"),
    ImportError("cannot import name x"),
    SyntaxError("invalid"),
    KeyError("x"),
    RecursionError(),
    MemoryError(),
    AssertionError(),
    ValueError("\x1b[2J"),
    ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    SystemExit("said"),
    SystemExit(3),
    KeyboardInterrupt(),
)


@pytest.mark.parametrize("error", RAISED, ids=repr)
def test_whatever_is_raised_is_told_in_a_sentence(
    error: BaseException, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORBITAL_CLI_TRACEBACK", raising=False)
    group = Verbs("orbital", {})

    @group.command()
    def odd() -> None:
        raise error

    status = run(group, ["odd"])
    said = capfd.readouterr()
    assert status != 0
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err + said.out


def _commands(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(words, command)]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        found += _commands(below, (*words, name))
    return found


EVERY = _commands(Verbs("orbital", VERBS, stack_commands, STACK))
# They run this very suite, or look at the machine and fetch what it lacks.
LEFT_OUT = {("test",), ("check",), ("up",), ("down",), ("bench",)}


@pytest.mark.parametrize("words", [words for words, _ in EVERY if words not in LEFT_OUT], ids=" ".join)
def test_odd_arguments_of_every_command(
    words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORBITAL_CLI_DATA", str(tmp_path / "none"))
    command = dict(EVERY)[words]
    needed = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.is_flag]
    for odd in ODD:
        tried = [[odd] * max(1, len(needed))]
        tried += [[*["x"] * len(needed), each.opts[-1], odd] for each in options]
        for args in tried:
            main([*words, *args])
            said = capfd.readouterr()
            assert "Traceback" not in said.err, (words, args)
            assert "A defect of this program" not in said.err, (words, args)
            assert not {"\x1b", "\u202e"} & set(said.err + said.out)


@pytest.mark.parametrize(
    ("words", "command"), EVERY, ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
def test_what_an_option_is_without_being_given_is_what_it_may_be(
    words: tuple[str, ...], command: click.Command
) -> None:
    context = click.Context(command)
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and not option.multiple:
            default = option.get_default(context)
            if isinstance(default, str | int | float):
                # Raises where the default is refused, as it would be in every call without the option.
                option.type_cast_value(context, default)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["get", "--help"], ["get", "xyz"], ["nonsense"]])
@pytest.mark.parametrize("to", ["closed reader", "full disk", "closed"])
def test_output_that_nobody_takes(words: list[str], to: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-P", "-m", "console.cli", *words)
    if to == "closed":
        done = subprocess.run(
            ("sh", "-c", 'exec "$@" >&-', "sh", *command), cwd=ROOT, stderr=-1, text=True, check=False
        )
    else:
        with Path("/dev/full").open("wb") as full:
            out = writer if to == "closed reader" else full.fileno()
            done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if words[-1] in {"--help", "--version"}:
        assert done.returncode == (1 if to == "full disk" else 0)


@pytest.mark.parametrize(
    "setting",
    [
        {"PYTHONPATH": "mine"}, {"PYTHONHOME": "/nonexistent"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONWARNINGS": "error"},
        {"PYTHONIOENCODING": "ascii"}, {"PYTHONSTARTUP": "/nonexistent"}, {"PYTHONINSPECT": "1"}, {"LC_ALL": "C"},
        {"PYTHONUTF8": "0", "LC_ALL": "POSIX"}, {"PYTHONDEVMODE": "1"}, {"HOME": "/sys"}, {"HOME": "/nonexistent"},
        {"COLUMNS": "x"}, {"COLUMNS": "-3"}, {"TERM": "dumb"}, {"PYTHONPLATLIBDIR": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_the_environment_of_the_script(setting: dict[str, str], tmp_path: Path) -> None:
    for name in ("runtime", "console", "click", "json", "re"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for words in (["get", "--help"], ["get", "regions", "--data", "none"]):
        done = subprocess.run(
            (str(ROOT / "orbital"), *words),
            cwd=tmp_path,
            env={**environment, **setting},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr + done.stdout, done.stderr
        assert done.returncode == (0 if "--help" in words else 6), done.stderr
        if "--help" in words:
            assert b"List what NOUN says" in done.stdout


@pytest.mark.parametrize("words", [("kill", "acme", "--yes", "--reason"), ("get", "tasks", "--tenant")], ids=" ".join)
@pytest.mark.parametrize("argument", ["gef\udce4hrdet", "\udcff"], ids=ascii)
def test_an_argument_that_is_not_utf_8_is_named(
    orbital: Orbital, gateway: FakeGateway, words: tuple[str, ...], argument: str
) -> None:
    ended = orbital(*words, argument)
    assert ended.status == 2
    assert "is not text in UTF-8" in ended.err
    assert gateway.asked == [] or words[0] == "kill"
