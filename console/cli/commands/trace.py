"""`orbital trace`: one change, from the click to the key operation and back."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from console.cli.moments import moment_of
from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, say, table, write

if TYPE_CHECKING:
    from console.cli.connection import Connection

POLL = 1.0
COLUMNS = (
    Column("TIME", "time", form="time"),
    Column("AFTER", "after"),
    Column("STAGE", "stage"),
    Column("PROCESS", "process"),
    Column("REGION", "region"),
    Column("TASK", "task_id", form="short"),
    Column("KIND", "kind"),
    Column("LANE", "lane"),
    Column("PATH", "path"),
    Column("RESOURCE", "resource"),
    Column("GEN", "generation"),
    Column("DECISION", "decision_id", form="short"),
    Column("OUTCOME", "outcome"),
    Column("MESSAGE", "message"),
)


@click.command()
@click.argument("correlation_id")
@click.option("-w", "--watch", is_flag=True, help="Print what there is, then each new hop until it has ended.")
@output_option("table", "json", "yaml")
@connection_options
def trace(correlation_id: str, watch: bool, output: str, target: Target) -> None:
    """Show every hop of a change in order: time, process, region, task, lane, generation, decision and outcome."""
    from console.cli.connection import connect
    from console.cli.patience import asked_again

    with connect(target) as connection:
        answer = read(connection, correlation_id)
        if output != "table":
            while watch and not answer["ended"]:
                time.sleep(POLL)
                answer = asked_again(partial(read, connection, correlation_id))
            write(answer, output)
            return
        _print(answer, answer["hops"])
        while watch and not answer["ended"]:
            time.sleep(POLL)
            seen = [tuple(map(str, hop.values())) for hop in answer["hops"]]
            answer = asked_again(partial(read, connection, correlation_id))
            fresh = [hop for hop in answer["hops"] if tuple(map(str, hop.values())) not in set(seen)]
            if fresh:
                _print(answer, fresh)
    say(_told(answer))
    if answer["cut"]:
        say("There is more than one trace holds: these are the first of its hops. All tasks: orbital get tasks")


def _told(answer: dict[str, Any]) -> str:
    """How the change stands, in a sentence."""
    if answer["lost_regions"]:
        return f"Not proven in {', '.join(answer['lost_regions'])}, which was decommissioned."
    if answer["ended"] and not answer["converged"]:
        return f"Superseded by {', '.join(answer['superseded_by'])}."
    return "Converged." if answer["converged"] else "Not converged yet."


def read(connection: Connection, correlation_id: str) -> dict[str, Any]:
    """The trace of a change as a model."""
    from orbital.v1.trace_pb2 import GetTraceRequest

    from console.cli.rows import trace as model

    return model(connection.call(connection.trace.GetTrace, GetTraceRequest(correlation_id=correlation_id)))


def _print(answer: dict[str, Any], hops: list[dict[str, Any]]) -> None:
    say(f"{answer['correlation_id']}  {answer['action']}  by {answer['actor']}")
    table(with_offsets(hops, answer["hops"]), COLUMNS)


def with_offsets(hops: list[dict[str, Any]], every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hops with the time since the first of all in `after`; clocks are the processes' own and not corrected."""
    times = [moment_of(hop["time"]) for hop in every if hop["time"]]
    first = min(times, default=0.0)
    told = []
    for hop in hops:
        since = moment_of(hop["time"]) - first if hop["time"] else None
        told.append({**hop, "after": "-" if since is None else f"+{since * 1000:,.0f} ms"})
    return told
