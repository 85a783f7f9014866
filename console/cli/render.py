"""One model, many forms: rows of plain values become a table, JSON, YAML or names."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from console.cli.moments import age, spell_duration
from runtime.terminal import json_safe, one_line, trusted

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]
# Of a time its hours, minutes, seconds and milliseconds; of an ID as much as people compare by eye.
CUTS = {"time": slice(11, 23), "short": slice(12)}
FORMS = ("table", "wide", "json", "yaml", "name")
MARKS = {
    "converged": "green", "done": "green", "active": "green", "linked": "green", "yes": "green",
    "converging": "yellow", "pending": "yellow", "published": "yellow", "waiting": "yellow", "superseded": "dim",
    "drifting": "bold red", "denied": "bold red", "failed": "bold red", "killed": "bold red", "no": "bold red",
    "unlinked": "bold red",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, the field of the row, and whether only the wide table has it."""

    title: str
    field: str
    wide: bool = False
    form: str = "plain"
    # Shown only where one of the rows has something in it.
    rare: bool = False


def console(*, stderr: bool = False) -> Console:
    """A Rich console that colours only a terminal, obeys NO_COLOR and never folds an answer that is piped."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    given = os.environ.get("COLUMNS", "")
    width = None if stream.isatty() else (int(given) if given.isascii() and given.isdigit() else 0) or 1_000
    return Console(
        file=trusted(stream), width=width, highlight=False, emoji=False, markup=False, soft_wrap=not stream.isatty()
    )


def show(rows: Sequence[Row], columns: Sequence[Column], output: str, fields: Sequence[str], key: str) -> None:
    """Print rows to stdout in one of FORMS; JSON and YAML are a list of objects with exactly `fields`."""
    if output in {"json", "yaml"}:
        write([{name: row[name] for name in fields} for row in rows], output)
    elif output == "name":
        for row in rows:
            click.echo(one_line(str(row[key])))
    else:
        shown = [column for column in columns if output == "wide" or not column.wide]
        table(rows, [column for column in shown if not column.rare or any(row[column.field] for row in rows)])


def write(answer: Any, output: str) -> None:
    """Print one JSON or YAML value to stdout."""
    if output == "yaml":
        from console.cli.yaml_form import dump

        click.echo(dump([answer]), nl=False)
    else:
        import json

        click.echo(json_safe(json.dumps(answer, indent=2, ensure_ascii=False)))


def table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Print a table to stdout: coloured on a terminal, plain and aligned in a pipe."""
    now = time.time()
    cells = [[one_line(cell(row[column.field], column.form, now)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        _plain([[column.title for column in columns], *cells])
        return
    from rich.table import Table
    from rich.text import Text

    from console.cli.fitting import GAP, fit

    shown = console()
    widths = fit([[column.title for column in columns], *cells], shown.width)
    pretty = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for column, width in zip(columns, widths, strict=False):
        justify: Literal["left", "right"] = "right" if column.form == "number" else "left"
        pretty.add_column(column.title, overflow="fold", justify=justify, width=width)
    for line in cells:
        pretty.add_row(*(Text(text, style=MARKS.get(text, "")) for text in line[: len(widths)]))
    shown.print(pretty)
    if left := [column.title for column in columns[len(widths) :]]:
        say(f"No room here for {', '.join(left)}. A wider terminal shows them, and so does -o json.")


def _plain(lines: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell(value: Any, form: str, now: float) -> str:
    """A value as a table shows it."""
    empty = value is None or value in ("", {}, [])
    if form == "age" or (form == "lag" and not empty):
        return age(value, now)
    if empty:
        return "-"
    if form in CUTS:
        return str(value)[CUTS[form]]
    return SPELT.get(form, _spell)(value)


def rebuilt(rebuild: Row) -> str:
    """How far a region's rebuild is: of how many, how many a second, and how long the rest takes."""
    said = f"{rebuild['replayed']:,} of {rebuild['total']:,}, {rebuild['rate']:g}/s"
    left = rebuild["remaining_seconds"]
    return f"{said}, {spell_duration(round(left))} left" if left else said


def _lanes(numbers: Sequence[int]) -> str:
    return "/".join(map(str, numbers))


def _spell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_spell(one)}" for name, one in value.items() if one not in ({}, [])) or "-"
    if isinstance(value, list):
        return ",".join(map(_spell, value))
    return str(value)


SPELT: Mapping[str, Callable[[Any], str]] = {"lanes": _lanes, "rebuild": rebuilt}


def say(message: str) -> None:
    """A line on stderr, which is where everything goes that is not the answer."""
    click.echo(message, err=True)


def count(number: int, thing: str) -> str:
    """`1 region`, `2 regions`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
