"""`orbital retry` and `orbital cancel`: what to do about tasks that keep failing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.rows import Row

# Of one call; see parked.proto.
MOST = 100
WHOLE = 32

_ids = click.argument("ids", nargs=-1, metavar="ID...")
_tenant = click.option("--tenant", default="", help="Without an ID: what is parked of this tenant.")
_region = click.option("--region", default="", help="Without an ID: what is parked in this region.")
_reason = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the trail.")


@click.command()
@_ids
@_tenant
@_region
@_reason
@output_option("table", "json", "yaml")
@connection_options
def retry(ids: tuple[str, ...], tenant: str, region: str, reason: str, output: str, target: Target) -> None:
    """Send parked tasks to their regions again, once what they failed on was mended; or cancelled ones.

    ID is a task's, or the beginning of a parked one's: orbital get tasks --parked. Follow: orbital wait.
    """
    from orbital.v1.parked_pb2 import RetryTasksRequest

    from console.cli.connection import connect

    text = checked_reason(reason)
    with connect(target) as connection:
        chosen = _chosen(connection, ids, tenant, region)
        answers = [
            connection.call(
                connection.tasks.RetryTasks, RetryTasksRequest(ids=part, reason=text, request_id=uuid4().hex)
            )
            for part in _parts(chosen)
        ]
        _print("Sent again", chosen, answers, output)


@click.command()
@_ids
@_tenant
@_region
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option("table", "json", "yaml")
@connection_options
def cancel(ids: tuple[str, ...], tenant: str, region: str, reason: str, yes: bool, output: str, target: Target) -> None:
    """Have regions forget parked tasks: what they were to bring about is not brought about there.

    A newer change, or `orbital retry`, takes it up again; a revocation is never cancelled. ID is a task's, or the
    beginning of a parked one's: orbital get tasks --parked. On a terminal it asks, unless --yes is given.
    """
    from orbital.v1.parked_pb2 import CancelTasksRequest

    from console.cli.connection import connect

    text = checked_reason(reason)
    with connect(target) as connection:
        chosen = _chosen(connection, ids, tenant, region)
        tell_old(connection.login)
        if chosen and not yes and sys.stdin.isatty():
            typed_again("cancel", f"cancel {count(len(chosen), 'task')}")
        answers = [
            connection.call(
                connection.tasks.CancelTasks, CancelTasksRequest(ids=part, reason=text, request_id=uuid4().hex)
            )
            for part in _parts(chosen)
        ]
        _print("Cancelled", chosen, answers, output)


def _parts(chosen: Sequence[str]) -> list[Sequence[str]]:
    """Those of each call."""
    return [chosen[begin : begin + MOST] for begin in range(0, len(chosen), MOST)]


def _chosen(connection: Connection, ids: Sequence[str], tenant: str, region: str) -> list[str]:
    """The IDs that are meant; raises Failure for one that means no parked task, or several."""
    from console.cli.nouns import RowFilter, find

    if bool(ids) == bool(tenant or region):
        raise Failure("Say which: IDs, or --tenant or --region for all that is parked there.", Exit.USAGE)
    if all(len(one) == WHOLE for one in ids) and ids:
        return list(dict.fromkeys(ids))
    parked = list(find("tasks").rows(connection, RowFilter(tenant=tenant, region=region, parked=True)))
    if not ids:
        return [str(row["id"]) for row in parked]
    return list(dict.fromkeys(_one(one, parked) for one in ids))


def _one(begun: str, parked: Sequence[Row]) -> str:
    if len(begun) == WHOLE:
        return begun
    found = [str(row["id"]) for row in parked if begun and str(row["id"]).startswith(begun)]
    if len(found) != 1:
        said = f"{len(found)} parked tasks begin" if found else "No parked task begins"
        raise Failure(f'{said} with "{begun}". List: orbital get tasks --parked', Exit.NOT_FOUND)
    return found[0]


def _print(done: str, chosen: Sequence[str], answers: Sequence[Any], output: str) -> None:
    if output != "table":
        write({"tasks": list(chosen), "correlation_ids": [one.correlation_id for one in answers]}, output)
        return
    if not chosen:
        click.echo("Nothing is parked there.")
        return
    click.echo(f"{done}: {count(len(chosen), 'task')}.")
    for answer in answers:
        say(f"Correlation ID: {answer.correlation_id}")
