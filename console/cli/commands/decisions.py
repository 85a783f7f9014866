"""`orbital decisions`: what every policy engine decided, out of their logs."""

from __future__ import annotations

from itertools import islice

import click

from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, show

COLUMNS = (
    Column("TIME", "decided_at", form="time"),
    Column("ENGINE", "engine"),
    Column("POLICY", "policy"),
    Column("ACTION", "action"),
    Column("ALLOWED", "allowed", form="number"),
    Column("DENIED", "denied", form="number"),
    Column("REASON", "reason"),
    Column("PRINCIPAL", "principal"),
    Column("DECISION", "decision_id", form="short"),
    Column("REVISION", "revision", wide=True),
)
# The most that a page of the API has.
PAGE = 1000
FORMS = ("table", "wide", "json", "yaml")


@click.command()
@click.option("--correlation", "correlation_id", default="", metavar="ID", help="Only those of this change.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most this many rows.")
@output_option(*FORMS)
@connection_options
def decisions(correlation_id: str, limit: int, output: str, target: Target) -> None:
    """List the decisions of all policy engines, newest first; a decision over a batch is one row.

    They arrive a few seconds after they were made.
    """
    from orbital.v1.policy_pb2 import ListDecisionsRequest

    from console.cli import judged
    from console.cli.connection import connect

    with connect(target) as connection:
        request = ListDecisionsRequest(correlation_id=correlation_id, page_size=min(limit, PAGE))
        pages = connection.pages(connection.policy.ListDecisions, request)
        listed = (one for answer in pages for one in answer.decisions)
        found = [judged.decision(one) for one in islice(listed, limit)]
    show(found, COLUMNS, output, tuple(found[0]) if found else (), "decision_id")
