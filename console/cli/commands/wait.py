"""`orbital wait`: until one change, or everything that is chosen, has converged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, timeout_option

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.nouns import RowFilter

POLL = 1.0


@click.command()
@click.argument("correlation_id", required=False)
@click.option("--tenant", default="", help="Without an ID: only this tenant's placements.")
@click.option("--region", default="", help="Without an ID: only this region's placements.")
@timeout_option("5m")
@connection_options
def wait(correlation_id: str | None, tenant: str, region: str, timeout: float, target: Target) -> None:
    """Wait until a change has converged; without an ID, until every placement has.

    Exit status 7 when the time is over: the message names what blocks, and the work goes on. Exit status 11 when later
    changes took over what this one had left to do: the message names them. A revocation is done only when each region
    has proved it, whatever was declared after it.
    """
    from console.cli.connection import connect
    from console.cli.nouns import RowFilter

    with connect(target) as connection:
        if correlation_id is None:
            click.echo(_everything(connection, RowFilter(tenant=tenant, region=region), timeout))
            return
        from console.cli.job import finish

        click.echo(finish(connection, correlation_id, timeout))


def _everything(connection: Connection, wanted: RowFilter, timeout: float) -> str:
    from console.cli.nouns import find
    from runtime.errors import Unavailable

    deadline = time.monotonic() + timeout
    total, behind = 0, ["no answer yet"]
    while True:
        try:
            rows = list(find("placements").rows(connection, wanted))
            total = len(rows)
            behind = [
                f"{row['region']} {row['resource']}" + (f" ({row['reason']})" if row["reason"] else "")
                for row in rows
                if row["state"] != "converged"
            ]
        except Unavailable as error:
            behind = [error.message]
        if not behind and not total:
            raise Failure(f"There is no placement{_chosen(wanted)}: nothing can converge.", Exit.NOT_FOUND)
        if not behind:
            return f"Converged: {total} of {total}."
        if time.monotonic() >= deadline:
            more = f" and {len(behind) - 3} more" if len(behind) > 3 else ""
            waiting = f"Waiting: {', '.join(behind[:3])}{more}."
            message = f"Timed out after {timeout:.0f} s: {total - len(behind)} of {total} converged. {waiting}"
            raise Failure(f"{message} Follow: orbital get placements --watch", Exit.TIMEOUT)
        time.sleep(POLL)


def _chosen(wanted: RowFilter) -> str:
    """` of tenant acme in region eu10`, as far as they were chosen."""
    tenant = f" of tenant {wanted.tenant}" if wanted.tenant else ""
    return tenant + (f" in region {wanted.region}" if wanted.region else "")
