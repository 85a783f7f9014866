"""`orbital apply` and `orbital diff`: what is declared in files becomes what is wanted, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from console.cli.asking import waits
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import say, write

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.declaration.load import Declaration

_files = click.option(
    "-f", "--file", "files", multiple=True, required=True, metavar="FILE", help="YAML documents; - is standard input."
)


@click.command()
@_files
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option(
    "--accept-departures",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="How many placements may leave their regions, as --dry-run says it.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, where it waits for another person; kept in the trail.")
@click.option("--wait", is_flag=True, help="Wait until every region has converged.")
@timeout_option("5m")
@output_option("table", "json", "yaml")
@connection_options
def apply(
    files: tuple[str, ...],
    dry_run: bool,
    accept_departures: int,
    reason: str,
    wait: bool,
    timeout: float,
    output: str,
    target: Target,
) -> None:
    """Declare tenants, systems, services, links and regions from files.

    Prints what changes and the correlation ID. A file with any mistake is refused whole. Applying the same file
    again changes nothing; leaving a document out never deletes it. A region that is left out of a placement is left:
    what the tenant had there is unlinked and purged. When that is more than a tenth of the placements, and at least
    five, --accept-departures has to say how many and --reason why, and it is done once another person approves
    (orbital approve).
    """
    from console.cli.connection import connect

    declarations = _load(files)
    with connect(target) as connection:
        answer = declare(connection, declarations, dry_run=dry_run, accept_departures=accept_departures, reason=reason)
        _print(answer, output, dry_run=dry_run)
        if not (wait and answer["correlation_id"]):
            return
        from console.cli.job import finish

        say(finish(connection, answer["correlation_id"], timeout))


@click.command()
@_files
@output_option("table", "json", "yaml")
@connection_options
def diff(files: tuple[str, ...], output: str, target: Target) -> None:
    """Compare files with what is declared; exit status 8 when they differ."""
    from console.cli.connection import connect

    declarations = _load(files)
    with connect(target) as connection:
        answer = declare(connection, declarations, dry_run=True)
    _print(answer, output, dry_run=True)
    if answer["created"] or answer["updated"]:
        raise click.exceptions.Exit(Exit.DIFFERS)


def _load(files: tuple[str, ...]) -> list[Declaration]:
    from console.cli.declaration.load import load
    from console.cli.declaration.problem import Refused

    try:
        return load(files)
    except Refused as refused:
        raise Failure(str(refused)) from refused


def declare(
    connection: Connection,
    declarations: list[Declaration],
    *,
    dry_run: bool,
    accept_departures: int = 0,
    reason: str = "",
) -> dict[str, Any]:
    """Send one Declare; returns its correlation ID, the counts and the changes."""
    from console.cli import rows
    from console.cli.declaration.problem import Refused
    from console.cli.declaration.request import in_file, to_request
    from runtime.errors import OrbitalError

    try:
        request = to_request(declarations, uuid4().hex, validate_only=dry_run, accept_departures=accept_departures)
        request.reason = reason
        response = connection.call(connection.registry.Declare, request)
    except Refused as refused:
        raise Failure(str(refused)) from refused
    except OrbitalError as error:
        told = in_file(error, declarations)
        if isinstance(told, Refused):
            raise Failure(str(told), _code(error)) from error
        raise
    changes = [rows.change(one) for one in response.changes]
    count = {action: sum(one["action"] == action for one in changes) for action in ("create", "update", "none")}
    return {
        "correlation_id": response.correlation_id,
        "approval_id": response.approval_id,
        "needs_approval": response.needs_approval,
        "dry_run": dry_run,
        "created": count["create"],
        "updated": count["update"],
        "unchanged": max(len(declarations) - count["create"] - count["update"], 0),
        "departures": response.departures,
        "changes": [one for one in changes if one["action"] != "none"],
    }


def _code(error: Exception) -> Exit:
    return Exit.CONFLICT if type(error).__name__ in {"Precondition", "Conflict"} else Exit.FAILED


def _print(answer: dict[str, Any], output: str, *, dry_run: bool) -> None:
    if output != "table":
        write(answer, output)
        return
    for one in answer["changes"]:
        click.echo(_line(one))
    created, updated, unchanged = answer["created"], answer["updated"], answer["unchanged"]
    if not (created or updated):
        click.echo(f"Nothing changes: all {unchanged} are as declared.")
        return
    dry_run = dry_run or bool(answer["approval_id"])
    would = "Would be " if dry_run else ""
    click.echo(f"{would}{created} created, {updated} updated, {unchanged} unchanged.")
    if answer["departures"]:
        verb = "would leave" if dry_run else "leave"
        click.echo(f"{answer['departures']} placements {verb} their regions; what they have there is purged.")
    waits(answer["needs_approval"], answer["approval_id"])
    if answer["correlation_id"]:
        click.echo(f"Correlation ID: {answer['correlation_id']}")


def _line(one: dict[str, Any]) -> str:
    places = f"{one['regions']} region{'' if one['regions'] == 1 else 's'}"
    if one["action"] == "create":
        return f"+ {one['resource']}  ({places})"
    fields = "; ".join(
        f"{field['path']}: {field['before'] or '-'} → {field['after'] or '-'}" for field in one["fields"]
    )
    return f"~ {one['resource']}  g{one['from_generation']} → g{one['to_generation']}  {fields}  ({places})"
