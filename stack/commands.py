"""The command line of the stack: `up`, `down`, `status`, and what befalls a region. The console mounts COMMANDS."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from runtime.errors import Unavailable
from runtime.terminal import trusted
from stack import api, sealing
from stack.authority import authority
from stack.place import place_option
from stack.policy import policy
from stack.state import PartState, State

MARKS = {"ready": "green", "starting": "yellow", "waiting": "dim", "failed": "red", "dead": "red", "stopped": "dim"}

_path = click.option(
    "--path", type=click.Choice(["gateway", "amqp", "mqtt"]), help="One way alone; without, all of them."
)


class Progress:
    """Tells on standard error what becomes ready, with the time since the start and the time that it took."""

    def __init__(self) -> None:
        self._console = Console(file=trusted(sys.stderr), highlight=False)
        self._began = time.monotonic()

    def __call__(self, name: str, status: str, seconds: float) -> None:
        """One change of one part."""
        elapsed = time.monotonic() - self._began
        if status in ("ready", "failed"):
            self._say(elapsed, name, status, seconds)
        elif status == "done" and seconds >= 1:
            self._say(elapsed, name, "acquired", seconds)
        elif status == "compiling":
            self._say(elapsed, name, "not in the cache: compiling it, once", seconds)

    def _say(self, elapsed: float, name: str, what: str, seconds: float) -> None:
        self._console.print(f"{elapsed:6.1f} s  {name:<24} {what}  {f'({seconds:.1f} s)' if seconds else ''}")


@click.command()
@place_option
@click.option("--only", multiple=True, metavar="PART", help="Start only this part and what it needs; may be repeated.")
def up(place: Path, only: tuple[str, ...]) -> None:
    """Start the stack and wait until all of it is ready. A running one is left as it is."""
    began = time.monotonic()
    found = api.up(place, only, Progress())
    click.echo(f"Up in {time.monotonic() - began:.1f} s: {len(found.parts)} processes, data in {found.place}")
    if "console" in found.parts:
        click.echo(_console(found))


@click.command(name="open")
@place_option
def open_console(place: Path) -> None:
    """Say where the console is, and who may log in; on a desktop, open it."""
    found = api.status(place)
    if found.parts.get("console", PartState()).status != "ready":
        raise Unavailable("The console does not run. Start it: orbital up")
    click.echo(_console(found))
    click.launch(found.console.address)


def _console(found: State) -> str:
    people = "\n".join(f"  {name:<10} password in {file}" for name, file in found.console.passwords.items())
    return f"Console: {found.console.address}\n{people}"


@click.command()
@place_option
def down(place: Path) -> None:
    """End exactly what `up` started. The data stays."""
    began = time.monotonic()
    count = api.down(place)
    click.echo(f"Down in {time.monotonic() - began:.1f} s: {count} processes ended")


@click.command()
@place_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(place: Path, output: str) -> None:
    """Show what runs. Exit status 6 when something is not ready."""
    found = api.status(place)
    if output == "json":
        click.echo(orjson.dumps(found.model_dump(by_alias=True), option=orjson.OPT_INDENT_2).decode())
    else:
        Console(file=trusted(sys.stdout)).print(_table(found))
    click.get_current_context().exit(0 if is_ready(found) else 6)


def is_ready(found: State) -> bool:
    """Whether the supervisor and every part are; a stack without a part is not."""
    parts = found.parts.values()
    return found.supervisor is not None and bool(parts) and all(part.status == "ready" for part in parts)


@click.command()
@place_option
@click.argument("region")
@_path
def cut(place: Path, region: str, path: str | None) -> None:
    """Cut the ways of REGION to the global side, or one of them. Its processes go on."""
    click.echo("Cut off: " + ", ".join(api.cut(place, region, path or "")))


@click.command()
@place_option
@click.argument("region")
@_path
def heal(place: Path, region: str, path: str | None) -> None:
    """Open the ways of REGION to the global side again, or one of them."""
    click.echo("Cut off: " + (", ".join(api.heal(place, region, path or "")) or "nobody"))


@click.command()
@place_option
@click.argument("region")
def seal(place: Path, region: str) -> None:
    """Seal the OpenBao of REGION."""
    click.echo(f"Sealed; correlation ID {sealing.seal(place, region)}")


@click.command()
@place_option
@click.argument("region")
def unseal(place: Path, region: str) -> None:
    """Open the OpenBao of REGION again."""
    sealing.unseal(place, region)
    click.echo("Open")


def _table(found: State) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("PART", "STATUS", "PID", "RESTARTS", "SAID"):
        table.add_column(column)
    if found.supervisor:
        _row(table, "supervisor", PartState(pid=found.supervisor.pid, status="ready"))
    else:
        _row(table, "supervisor", PartState(status="stopped"))
    for name, part in {**found.steps, **found.parts}.items():
        _row(table, name, part)
    return table


def _row(table: Table, name: str, part: PartState) -> None:
    shown = f"[{MARKS.get(part.status, 'default')}]{part.status}[/]"
    table.add_row(name, shown, str(part.pid or ""), str(part.restarts or ""), part.error)


COMMANDS: list[click.Command] = [up, open_console, down, status, cut, heal, seal, unseal, policy, authority]
