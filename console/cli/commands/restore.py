"""`orbital restore`, `approve`, `decline`: a killed tenant comes back by two people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.commands import decommission
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.rows import Row


@click.command()
@click.argument("tenant")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit trail.")
@click.option("--dry-run", is_flag=True, help="Only say what would come back.")
@output_option("table", "json", "yaml")
@connection_options
def restore(tenant: str, reason: str, dry_run: bool, output: str, target: Target) -> None:
    """Ask that a killed tenant be restored; nothing comes back before another person approves."""
    from orbital.v1.restore_pb2 import AskRestorationRequest

    from console.cli import rows
    from console.cli.connection import connect

    request = AskRestorationRequest(tenant=tenant, reason=checked_reason(reason), validate_only=dry_run)
    with connect(target) as connection:
        answer = connection.call(connection.restore.AskRestoration, request)
        asked = rows.restoration(answer.restoration)
    _print(asked, output)
    if asked["id"]:
        say(f"Another person approves it until {asked['expires_at']}: orbital approve {asked['id']}")


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for the tenant's name.")
@click.option("--wait", is_flag=True, help="Wait until every region has restored.")
@timeout_option("2m")
@output_option("table", "json", "yaml")
@connection_options
def approve(id_: str, yes: bool, wait: bool, timeout: float, output: str, target: Target) -> None:
    """Approve what somebody else has asked for: a killed tenant restored, or a region taken out for good.

    Shows first what it does. On a terminal the tenant's or the region's name has to be typed, unless --yes is given. A
    tenant's Links are linked again, in every region.
    """
    from orbital.v1.restore_pb2 import ApproveRestorationRequest

    from console.cli import rows
    from console.cli.connection import connect

    with connect(target) as connection:
        region = decommission.find(connection, id_)
        if region is not None:
            decommission.approve(connection, region, output, yes=yes)
            return
        asked = _one(connection, id_)
        say(f"{asked['asked_by']} asks: {asked['reason']}")
        if asked["state"] == "open":
            say(_radius(asked))
            tell_old(connection.login)
        if not yes and sys.stdin.isatty():
            typed_again(asked["tenant"], "restore it")
        answer = connection.call(connection.restore.ApproveRestoration, ApproveRestorationRequest(id=id_))
        _print(rows.restoration(answer.restoration), output)
        if wait:
            from console.cli.job import finish

            say(finish(connection, id_, timeout))


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit trail.")
@output_option("table", "json", "yaml")
@connection_options
def decline(id_: str, reason: str, output: str, target: Target) -> None:
    """Close a request to restore a killed tenant, or to take out a region; everything stays as it is."""
    from orbital.v1.restore_pb2 import DeclineRestorationRequest

    from console.cli import rows
    from console.cli.connection import connect

    request = DeclineRestorationRequest(id=id_, reason=checked_reason(reason))
    with connect(target) as connection:
        if decommission.find(connection, id_) is not None:
            decommission.decline(connection, id_, request.reason, output)
            return
        answer = connection.call(connection.restore.DeclineRestoration, request)
        _print(rows.restoration(answer.restoration), output)


def _one(connection: Connection, identity: str) -> Row:
    from orbital.v1.restore_pb2 import ListRestorationsRequest

    from console.cli import rows

    answer = connection.call(connection.restore.ListRestorations, ListRestorationsRequest(id=identity, page_size=1))
    if not answer.restorations:
        raise Failure(
            f'No request "{identity}". List: orbital get restorations, orbital get decommissions', Exit.NOT_FOUND
        )
    return rows.restoration(answer.restorations[0])


def _radius(asked: Row) -> str:
    regions = ", ".join(asked["regions"]) or "none"
    return (
        f"{asked['tenant']} comes back in {count(len(asked['regions']), 'region')} ({regions}), with "
        f"{count(len(asked['links']), 'link')} and {count(asked['services'], 'service')}."
    )


def _print(asked: dict[str, Any], output: str) -> None:
    if output != "table":
        write(asked, output)
    elif asked["state"] in ("", "open"):
        click.echo(_radius(asked))
        if asked["id"]:
            click.echo(f"Asked. Correlation ID: {asked['id']}")
    else:
        click.echo(f"{asked['tenant']}: {asked['state']} by {asked['decided_by']}.")
        click.echo(f"Correlation ID: {asked['id']}")
