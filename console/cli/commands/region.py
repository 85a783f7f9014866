"""`orbital region`: one region, looked into; its identity, given and taken; and its end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.asking import typed_again
from console.cli.commands.approval import decommission
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, count, say, table, write

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.disagreement import Disagreement

COLUMNS = (Column("RESOURCE", "resource"), Column("REASON", "reason"), Column("MESSAGE", "message"))
# What is under way this moment is gone at one of the next looks.
LOOKS, PAUSE = 4, 1.0
READING = 120.0


@click.group()
def region() -> None:
    """Look into one region, give it its identity, take that away, or take the region out for good."""


@region.command()
@click.argument("region")
@output_option("table", "json", "yaml")
@connection_options
def verify(region: str, output: str, target: Target) -> int:
    """Compare the region's OpenBao and its journals with one another and with what is declared.

    Prints nothing on standard output when all agree. What is said was seen in each of several looks. The exit status is
    then 8; it is 3 where there is nothing to compare.
    """
    from console.cli.connection import connect

    with connect(target) as connection:
        found, compared = look(connection, region)
        for _ in range(LOOKS - 1):
            if not found:
                break
            time.sleep(PAUSE)
            latest, compared = look(connection, region)
            again = {(one.resource, one.reason) for one in latest}
            found = [one for one in found if (one.resource, one.reason) in again]
    if not compared:
        raise Failure(f"Nothing is placed in {region}, and it holds nothing: nothing was compared.", Exit.NOT_FOUND)
    rows: list[dict[str, Any]] = [
        {"resource": one.resource, "reason": one.reason, "message": one.message} for one in found
    ]
    if output != "table":
        write(rows, output)
    elif rows:
        table(rows, COLUMNS)
        say(f"{count(len(rows), 'disagreement')} in {region}, of {count(compared, 'resource')}.")
    else:
        say(f"All agree in {region}: {count(compared, 'resource')}.")
    return Exit.DIFFERS if rows else Exit.DONE


@region.command()
@click.argument("region")
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="A file for the token, for its owner alone."
)
@output_option("table", "json", "yaml")
@connection_options
def enrol(region: str, to: Path | None, output: str, target: Target) -> None:
    """Make a token that turns into the identity of a declared REGION: once, and within minutes.

    The region finds it in the file that its setting ORBITAL_ENROLMENT__TOKEN_FILE names.
    """
    from orbital.v1.enrolment_pb2 import InviteRequest

    from console.cli.connection import connect
    from console.cli.moments import iso
    from runtime.private_files import write_private

    with connect(target) as connection:
        answer = connection.call(connection.enrolment.Invite, InviteRequest(region=region))
    ends_at = iso(answer.expire_time)
    if to is not None:
        write_private(to, answer.token)
    if output != "table":
        write({"region": region, "token": None if to else answer.token, "ends_at": ends_at}, output)
        return
    say(f"A token for {region}, which works once, until {ends_at}" + (f": {to}" if to else ":"))
    if to is None:
        click.echo(answer.token)


@region.command()
@click.argument("region")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit trail.")
@click.option("--yes", is_flag=True, help="Do not ask for the name again.")
@output_option("table", "json", "yaml")
@connection_options
def revoke(region: str, reason: str, yes: bool, output: str, target: Target) -> None:
    """End all that REGION has open, and refuse its identity until it has enrolled again.

    On a terminal the name has to be typed again, unless --yes is given; elsewhere nothing is asked.
    """
    from orbital.v1.enrolment_pb2 import RevokeRequest

    from console.cli.connection import connect
    from console.cli.moments import iso

    if not yes and sys.stdin.isatty():
        typed_again(region, "revoke its identity")
    with connect(target) as connection:
        answer = connection.call(connection.enrolment.Revoke, RevokeRequest(region=region, reason=reason))
    if output != "table":
        known = {"already_revoked": answer.already_revoked, "revoked_at": iso(answer.revoke_time)}
        write({"region": region, **known}, output)
    elif answer.already_revoked:
        click.echo(f"{region} had been revoked before. Nothing changed.")
    else:
        click.echo(f"Revoked {region}. It comes back by a new enrolment: orbital region enrol {region}")


region.add_command(decommission)


def look(connection: Connection, region: str) -> tuple[list[Disagreement], int]:
    """What disagrees at this moment, and how many resources were compared."""
    from orbital.v1.registry_pb2 import ListPlacementsRequest, ListResourcesRequest, PlacementFilter, ResourceKind
    from orbital.v1.verify_pb2 import ListHeldRequest

    from console.cli.commands.crypto import endpoint
    from console.cli.disagreement import compare
    from console.cli.nouns import PAGE

    stub = connection.verify(endpoint(connection, region))
    held = list(connection.stream(stub.ListHeld, ListHeldRequest(), READING))
    wanted = ListPlacementsRequest(filter=PlacementFilter(region=region), page_size=PAGE)
    placements = [
        one for answer in connection.pages(connection.registry.ListPlacements, wanted) for one in answer.placements
    ]
    resources = []
    for kind in ("TENANT", "SYSTEM", "SERVICE", "LINK", "EDGE_POLICY"):
        number = ResourceKind.Value(f"RESOURCE_KIND_{kind}")
        request = ListResourcesRequest(kind=number, page_size=PAGE, include_retired=True)
        for answer in connection.pages(connection.registry.ListResources, request):
            resources += answer.resources
    compared = {one.resource for one in placements} | {one.name for one in held}
    return compare(placements, resources, held), len(compared)
