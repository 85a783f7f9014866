"""`orbital decisions`: what every policy engine decided, out of their logs."""

from __future__ import annotations

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
FORMS = ("table", "wide", "json", "yaml")


@click.command()
@click.option("--correlation", "correlation_id", default="", metavar="ID", help="Only those of this change.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many rows.")
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
        request = ListDecisionsRequest(correlation_id=correlation_id, page_size=limit)
        answer = connection.call(connection.policy.ListDecisions, request)
        found = [judged.decision(one) for one in answer.decisions]
    show(found, COLUMNS, output, tuple(found[0]) if found else (), "decision_id")
