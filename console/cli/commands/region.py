"""`orbital region`: one region, looked into."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from console.cli.failure import Exit
from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, count, say, table, write

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.disagreement import Finding

COLUMNS = (Column("RESOURCE", "resource"), Column("REASON", "reason"), Column("MESSAGE", "message"))
# What is under way this moment is gone at one of the next looks.
LOOKS, PAUSE = 4, 1.0
READING = 120.0


@click.group()
def region() -> None:
    """Look into one region."""


@region.command()
@click.argument("region")
@output_option("table", "json", "yaml")
@connection_options
def verify(region: str, output: str, target: Target) -> int:
    """Compare the region's OpenBao and its journals with one another and with what is declared.

    Prints nothing when all agree. What is said was seen in each of several looks. The exit status is then 8.
    """
    from console.cli.connection import connect

    with connect(target) as connection:
        found = look(connection, region)
        for _ in range(LOOKS - 1):
            if not found:
                break
            time.sleep(PAUSE)
            again = {(one.resource, one.reason) for one in look(connection, region)}
            found = [one for one in found if (one.resource, one.reason) in again]
    rows: list[dict[str, Any]] = [
        {"resource": one.resource, "reason": one.reason, "message": one.message} for one in found
    ]
    if output != "table":
        write(rows, output)
    elif rows:
        table(rows, COLUMNS)
        say(f"{count(len(rows), 'disagreement')} in {region}.")
    return Exit.DIFFERS if rows else Exit.DONE


def look(connection: Connection, region: str) -> list[Finding]:
    """What disagrees at this moment."""
    from orbital.v1.registry_pb2 import ListPlacementsRequest, ListResourcesRequest, PlacementFilter, ResourceKind
    from orbital.v1.verify_pb2 import ListHeldRequest

    from console.cli.commands.crypto import endpoint
    from console.cli.disagreement import compare
    from console.cli.nouns import PAGE, pages

    stub = connection.verify(endpoint(connection, region))
    held = list(connection.stream(stub.ListHeld, ListHeldRequest(), READING))
    wanted = ListPlacementsRequest(filter=PlacementFilter(region=region), page_size=PAGE)
    placements = [
        one for answer in pages(connection, connection.registry.ListPlacements, wanted) for one in answer.placements
    ]
    resources = []
    for kind in ("TENANT", "SYSTEM", "SERVICE", "LINK", "EDGE_POLICY"):
        number = ResourceKind.Value(f"RESOURCE_KIND_{kind}")
        request = ListResourcesRequest(kind=number, page_size=PAGE, include_retired=True)
        for answer in pages(connection, connection.registry.ListResources, request):
            resources += answer.resources
    return compare(placements, resources, held)
