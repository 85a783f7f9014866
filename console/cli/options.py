"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where the gateway is and who asks: a stack's data directory, or an address with files of one's own."""

    directory: Path
    identity: str
    gateway: str | None
    cert: Path | None
    key: Path | None
    ca: Path | None


_FILE = click.Path(path_type=Path)
_CONNECTION = [
    click.option(
        "--data", "directory", type=_FILE, default=Path(".orbital"), show_default=True, envvar="ORBITAL_CLI_DATA",
        help="The data directory of the stack.",
    ),
    click.option(
        "--as", "identity", default="", envvar="ORBITAL_CLI_AS",
        help="Whose certificate; without it, whoever is logged in (orbital login), else operator.",
    ),
    click.option("--gateway", envvar="ORBITAL_CLI_GATEWAY", help="host:port, for a gateway that is no local stack's."),
    click.option("--cert", type=_FILE, envvar="ORBITAL_CLI_CERT", help="Certificate of the caller (PEM)."),
    click.option("--key", type=_FILE, envvar="ORBITAL_CLI_KEY", help="Private key of the caller (PEM)."),
    click.option("--ca", type=_FILE, envvar="ORBITAL_CLI_CA", help="What the gateway is checked by (PEM)."),
]  # fmt: skip


def connection_options(command: Command) -> Command:
    """Adds the options that say where the gateway is; the command gets them as `target`."""

    @wraps(command)
    def call(*args: Any, **options: Any) -> Any:
        fields = {name: options.pop(name) for name in Target.__dataclass_fields__}
        return command(*args, target=Target(**fields), **options)

    for option in reversed(_CONNECTION):
        call = option(call)
    return call


def output_option(*forms: str) -> Callable[[Command], Command]:
    """Adds -o with these forms, of which the first is the default; the command gets it as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="Form of the answer."
    )


def timeout_option(default: str) -> Callable[[Command], Command]:
    """Adds --timeout; the command gets seconds as `timeout`."""
    return click.option(
        "--timeout", type=DURATION, default=default, show_default=True, help="How long to wait; work goes on after it."
    )


# Ten years: more is a slip of the finger, and no clock of a call takes it.
LONGEST_SECONDS = 3650 * 86_400


class _Duration(click.ParamType[float]):
    """Seconds, written as 90s, 5m or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click.ParamType."""
        from console.cli.moments import parse_duration

        if isinstance(value, int | float):
            return float(value)
        seconds = parse_duration(f"{value}s" if value.replace(".", "", 1).isdigit() else value)
        if seconds is None:
            self.fail(f'"{value}" is no duration; expected for instance 90s or 5m', param, ctx)
        if seconds > LONGEST_SECONDS:
            self.fail(f'"{value}" is too long; expected at most {LONGEST_SECONDS // 86_400}d', param, ctx)
        return seconds


DURATION = _Duration()
