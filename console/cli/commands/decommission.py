"""`orbital region decommission`: a region that is gone for good is taken out by two people."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.moments import age
from console.cli.options import Target, connection_options, output_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.rows import Row


@click.command()
@click.argument("region")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit trail.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken out.")
@output_option("table", "json", "yaml")
@connection_options
def decommission(region: str, reason: str, dry_run: bool, output: str, target: Target) -> None:
    """Ask that a REGION that is gone for good be taken out; nothing happens before another person approves.

    Its placements stop counting, changes that wait for it end without it, and its identity is revoked. Every proof says
    what it proved last and what it may still hold. It comes back only if it is declared and enrols anew, empty.
    """
    from console.cli.connection import connect

    with connect(target) as connection:
        ask(connection, region, checked_reason(reason), output, dry_run=dry_run)


def ask(connection: Connection, region: str, reason: str, output: str, *, dry_run: bool) -> None:
    """Ask, and say what is asked for."""
    from orbital.v1.decommission_pb2 import AskDecommissionRequest

    from console.cli import rows

    request = AskDecommissionRequest(region=region, reason=reason, validate_only=dry_run)
    answer = connection.call(connection.decommission.AskDecommission, request)
    asked = rows.decommission(answer.decommission)
    _print(asked, output)
    if asked["id"]:
        say(f"Another person approves it until {asked['expires_at']}: orbital approve {asked['id']}")


def find(connection: Connection, identity: str) -> Row | None:
    """The request of that ID, if it is one to decommission a region."""
    from orbital.v1.decommission_pb2 import ListDecommissionsRequest

    from console.cli import rows

    request = ListDecommissionsRequest(id=identity, page_size=1)
    found = connection.call(connection.decommission.ListDecommissions, request).decommissions
    return rows.decommission(found[0]) if found else None


def approve(connection: Connection, asked: Row, output: str, *, yes: bool) -> None:
    """Take the region out, as somebody else has asked."""
    from orbital.v1.decommission_pb2 import ApproveDecommissionRequest

    from console.cli import rows

    say(f"{asked['asked_by']} asks: {asked['reason']}")
    if asked["state"] == "open":
        for line in told(asked):
            say(line)
        tell_old(connection.login)
    if not yes and sys.stdin.isatty():
        typed_again(asked["region"], "take it out for good")
    request = ApproveDecommissionRequest(id=asked["id"])
    answer = connection.call(connection.decommission.ApproveDecommission, request)
    _print(rows.decommission(answer.decommission), output)


def decline(connection: Connection, identity: str, reason: str, output: str) -> None:
    """Close the request; the region stays."""
    from orbital.v1.decommission_pb2 import DeclineDecommissionRequest

    from console.cli import rows

    request = DeclineDecommissionRequest(id=identity, reason=reason)
    answer = connection.call(connection.decommission.DeclineDecommission, request)
    _print(rows.decommission(answer.decommission), output)


def told(asked: Row) -> list[str]:
    """What would be taken out, in sentences."""
    here = f"{count(asked['placements'], 'placement')} of {count(asked['tenants'], 'tenant')}"
    lines = [f"{asked['region']} has {here}; {asked['unproven']} revocations and purges are not proven there."]
    if asked["connected"]:
        lines.append("It is connected now. If it is not gone, let what it has leave it: orbital apply.")
    elif asked["last_contact_at"]:
        heard = age(asked["last_contact_at"], time.time())
        until = f"; it may serve until {asked['serve_until']}" if asked["serve_until"] else ""
        lines.append(f"It was last heard {heard}{until}.")
    else:
        lines.append("It was never heard of.")
    return lines


def _print(asked: Row, output: str) -> None:
    if output != "table":
        write(asked, output)
    elif asked["state"] in ("", "open"):
        for line in told(asked):
            click.echo(line)
        if asked["id"]:
            click.echo(f"Asked. ID: {asked['id']}")
    else:
        click.echo(f"{asked['region']}: {asked['state']} by {asked['decided_by'] or 'nobody'}.")
        if asked["state"] == "approved" and asked["serve_until"]:
            click.echo(f"It may serve until {asked['serve_until']}.")
