"""`orbital restore`, `region decommission`, `approve`, `decline`: what takes two people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.rows import Row

_reason = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit trail.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what it would reach.")


@click.command()
@click.argument("tenant")
@_reason
@_dry_run
@output_option("table", "json", "yaml")
@connection_options
def restore(tenant: str, reason: str, dry_run: bool, output: str, target: Target) -> None:
    """Ask that a killed tenant be restored; nothing comes back before another person approves."""
    from console.cli.connection import connect

    with connect(target) as connection:
        ask(connection, {"restore_tenant": tenant}, checked_reason(reason), output, dry_run=dry_run)


@click.command()
@click.argument("region")
@_reason
@_dry_run
@output_option("table", "json", "yaml")
@connection_options
def decommission(region: str, reason: str, dry_run: bool, output: str, target: Target) -> None:
    """Ask that a REGION that is gone for good be taken out; nothing happens before another person approves.

    Its placements stop counting, changes that wait for it end without it, and its identity is revoked. Every proof says
    what it proved last and what it may still hold. It comes back only if it is declared and enrols anew, empty.
    """
    from console.cli.connection import connect

    with connect(target) as connection:
        ask(connection, {"decommission_region": region}, checked_reason(reason), output, dry_run=dry_run)


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for the name of what it is about.")
@click.option("--wait", is_flag=True, help="Wait until the change that it makes has converged.")
@timeout_option("2m")
@output_option("table", "json", "yaml")
@connection_options
def approve(id_: str, yes: bool, wait: bool, timeout: float, output: str, target: Target) -> None:
    """Approve what somebody else has asked for; `orbital get approvals` lists it.

    A killed tenant is restored, a region that is gone for good is taken out, or a declaration or retirement beyond the
    fuse is carried out. Shows first what it does. On a terminal the name has to be typed, unless --yes is given.
    """
    from orbital.v1.approval_pb2 import ApproveRequest

    from console.cli.approval import name, row, told, verb
    from console.cli.connection import connect

    with connect(target) as connection:
        asked = _one(connection, id_)
        say(f"{asked['asked_by']} asks: {asked['reason']}")
        if asked["state"] == "open":
            for line in told(asked):
                say(line)
            tell_old(connection.login)
        if not yes and sys.stdin.isatty():
            typed_again(name(asked), f"{verb(asked)} it")
        answer = connection.call(connection.approval.Approve, ApproveRequest(id=id_))
        _print(row(answer.approval), output)
        if wait:
            from console.cli.job import finish

            say(finish(connection, id_, timeout))


@click.command()
@click.argument("id_", metavar="ID")
@_reason
@output_option("table", "json", "yaml")
@connection_options
def decline(id_: str, reason: str, output: str, target: Target) -> None:
    """Close a request that waits for a second person; everything stays as it is."""
    from orbital.v1.approval_pb2 import DeclineRequest

    from console.cli.approval import row
    from console.cli.connection import connect

    request = DeclineRequest(id=id_, reason=checked_reason(reason))
    with connect(target) as connection:
        _print(row(connection.call(connection.approval.Decline, request).approval), output)


def ask(connection: Connection, action: dict[str, Any], reason: str, output: str, *, dry_run: bool) -> None:
    """Ask, and say what is asked for and how it goes on."""
    from orbital.v1.approval_pb2 import AskApprovalRequest

    from console.cli.approval import row

    request = AskApprovalRequest(**action, reason=reason, validate_only=dry_run)
    asked = row(connection.call(connection.approval.AskApproval, request).approval)
    _print(asked, output)
    if asked["id"]:
        say(f"Another person approves it until {asked['expires_at']}: orbital approve {asked['id']}")


def _one(connection: Connection, identity: str) -> Row:
    from orbital.v1.approval_pb2 import ListApprovalsRequest

    from console.cli.approval import row

    request = ListApprovalsRequest(id=identity, page_size=1)
    found = connection.call(connection.approval.ListApprovals, request).approvals if identity else ()
    if not found:
        raise Failure(f'No request "{identity}". List: orbital get approvals', Exit.NOT_FOUND)
    return row(found[0])


def _print(asked: Row, output: str) -> None:
    from console.cli.approval import told

    if output != "table":
        write(asked, output)
        return
    if asked["state"] in ("", "unspecified", "open"):
        for line in told(asked):
            click.echo(line)
        if asked["id"]:
            click.echo(f"Asked. Correlation ID: {asked['id']}")
        return
    click.echo(f"{asked['subject']}: {asked['state']} by {asked['decided_by'] or 'nobody'}.")
    if asked["state"] == "approved" and asked["serve_until"]:
        click.echo(f"It may serve until {asked['serve_until']}.")
    click.echo(f"Correlation ID: {asked['id']}")
