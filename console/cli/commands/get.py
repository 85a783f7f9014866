"""`orbital get` and `orbital describe`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.render import FORMS, show, table, write

if TYPE_CHECKING:
    from console.cli.connection import Connection
    from console.cli.nouns import Noun, RowFilter
    from console.cli.rows import Row

POLL = 2.0
# What tells rows of one noun apart.
IDENTITY = ("id", "decision_id", "resource", "region", "component", "edge", "engine", "correlation_id", "changed_at")
# What is measured anew all the time, and says nothing new as long as the rest stays.
RESTLESS = {"last_contact_at", "heard_at", "next_check", "evidence", "made", "received"}
# Tables inside of a description, and the noun that they are of.
INSIDE = {"behind": "placements", "last_tasks": "tasks", "flags": "flags", "edges": "edges"}
TASKS = 20


def _nouns(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    from console.cli.nouns import NOUNS

    return [noun.name for noun in NOUNS if noun.name.startswith(begun)]


@click.command()
@click.argument("noun", shell_complete=_nouns)
@click.argument("name", required=False)
@click.option("--tenant", default="", help="Only of this tenant.")
@click.option("--region", default="", help="Only in this region.")
@click.option("--correlation", "correlation_id", default="", metavar="ID", help="Only of this change.")
@click.option(
    "--parked", is_flag=True, help="Only tasks that kept failing, which their regions leave alone for a while."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many rows.")
@click.option("-w", "--watch", is_flag=True, help="Print what there is, then whatever changes.")
@output_option(*FORMS)
@connection_options
def get(
    noun: str, name: str | None, limit: int | None, watch: bool, output: str, target: Target, **filters: Any
) -> None:
    """List what NOUN says.

    NOUN is regions, tenants, systems, services, links, edgepolicies, edges, placements, tasks, flags, flagchanges,
    changes, engines, uses, deadletters, securityevents, approvals (of them restorations and decommissions) or denials.
    NAME is the last part of a name, or a whole one such as tenants/acme/systems/core (in short: acme/core).
    """
    from console.cli.connection import connect
    from console.cli.nouns import RowFilter, find

    kind = find(noun)
    # Who names one row is looked for among all of them.
    wanted = RowFilter(**filters, limit=0 if name or watch else limit or 0)
    _refuse_filters(kind, wanted)
    with connect(target) as connection:
        rows = _rows(connection, kind, wanted, name, limit)
        if not rows and not watch:
            _known(connection, wanted)
        _show(kind, rows, output)
        if watch:
            _watch(connection, kind, wanted, name, output, rows)


def _refuse_filters(noun: Noun, wanted: RowFilter) -> None:
    for field, flag in (
        ("tenant", "--tenant"),
        ("region", "--region"),
        ("correlation_id", "--correlation"),
        ("parked", "--parked"),
    ):
        if getattr(wanted, field) and field not in noun.filters:
            raise Failure(f"{noun.name} cannot be chosen by {flag}.", Exit.USAGE)


def _rows(connection: Connection, noun: Noun, wanted: RowFilter, name: str | None, limit: int | None) -> list[Row]:
    from itertools import islice

    from console.cli.nouns import named

    if name is None:
        return list(islice(noun.rows(connection, wanted), limit))
    return named(noun, list(noun.rows(connection, wanted)), name)[:limit]


def _known(connection: Connection, wanted: RowFilter) -> None:
    """That there is nothing is one thing, that nobody is called so another; raises Failure with close names."""
    from console.cli.nouns import RowFilter, find, named

    for word, name in (("region", wanted.region), ("tenant", wanted.tenant)):
        if name:
            noun = find(word)
            named(noun, list(noun.rows(connection, RowFilter())), name)


def _show(noun: Noun, rows: list[Row], output: str) -> None:
    from console.cli.render import say

    if not rows and output in {"table", "wide"}:
        say(f"No {noun.name}.")
        return
    show(rows, noun.columns, output, noun.fields(rows[0]) if rows else (), noun.key)


def _watch(
    connection: Connection, noun: Noun, wanted: RowFilter, name: str | None, output: str, rows: list[Row]
) -> None:
    """Follow by reading again: it needs no memory on the server, and a break costs one interval."""
    from console.cli.patience import asked_again

    seen = {_identity(row): _told(row) for row in rows}
    while True:
        time.sleep(POLL)
        found = asked_again(lambda: list(noun.rows(connection, wanted)))
        now = [row for row in found if name is None or noun.matches(row, name)]
        changed = [row for row in now if seen.get(_identity(row)) != _told(row)]
        seen.update((_identity(row), _told(row)) for row in changed)
        if changed:
            _show(noun, changed, output)


def _told(row: Row) -> Row:
    """What is news when it changes."""
    return {field: value for field, value in row.items() if field not in RESTLESS}


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(field) for field in IDENTITY)


@click.command()
@click.argument("noun", shell_complete=_nouns)
@click.argument("name")
@output_option("table", "json", "yaml")
@connection_options
def describe(noun: str, name: str, output: str, target: Target) -> None:
    """Show everything about one thing: its fields, its placements, a region's flags with their evidence.

    `orbital describe tenant acme`, `orbital describe decision ID`, `orbital describe job CORRELATION_ID`.
    """
    from console.cli.connection import connect
    from console.cli.nouns import find

    with connect(target) as connection:
        if noun in {"job", "jobs", "change", "changes"}:
            answer = _job(connection, name)
        else:
            answer = _thing(connection, find("denials" if noun in {"decision", "decisions"} else noun), name)
    if output != "table":
        write(answer, output)
        return
    _print(answer)


def _job(connection: Connection, correlation_id: str) -> Row:
    from orbital.v1.registry_pb2 import WatchJobRequest

    from console.cli.rows import job

    request = WatchJobRequest(correlation_id=correlation_id)
    for one in connection.stream(connection.registry.WatchJob, request, 10.0):
        return job(one)
    raise Failure(f'No job "{correlation_id}". List: orbital get tasks', Exit.NOT_FOUND)


def _thing(connection: Connection, noun: Noun, name: str) -> Row:
    from itertools import islice

    from console.cli.nouns import RowFilter, find, named

    found = named(noun, list(noun.rows(connection, RowFilter())), name)
    if noun.name == "placements":
        return {"placements": found}
    if len(found) > 1:
        close = ", ".join("/".join(str(row["resource"]).split("/")[1::2]) for row in found)
        raise Failure(f'"{name}" means {len(found)} {noun.name}: {close}. Say which.', Exit.USAGE)
    one = dict(found[0])
    if noun.name in {"tenants", "systems", "services", "links", "edgepolicies"}:
        resource = str(one["resource"])
        wanted = RowFilter(tenant="" if noun.name == "edgepolicies" else resource.split("/")[1])
        placements = find("placements").rows(connection, wanted)
        one["placements"] = [row for row in placements if f"{row['resource']}/".startswith(f"{resource}/")]
    elif noun.name == "regions":
        wanted = RowFilter(region=str(one["name"]))
        placements = find("placements").rows(connection, wanted)
        one["flags"] = list(find("flags").rows(connection, wanted))
        one["behind"] = [row for row in placements if row["state"] != "converged"]
        one["edges"] = list(find("edges").rows(connection, wanted))
        one["last_tasks"] = list(islice(find("tasks").rows(connection, wanted), TASKS))
    return one


def _print(answer: Row) -> None:
    from console.cli.nouns import find
    from console.cli.render import Column, cell

    width = max(map(len, answer)) + 2
    for field, value in answer.items():
        if not _is_table(value):
            click.echo(f"{field.replace('_', ' ') + ':':<{width}}{cell(value, 'plain', time.time())}")
    for field, value in answer.items():
        if not _is_table(value):
            continue
        click.echo(f"\n{field.replace('_', ' ')}:")
        columns = find(INSIDE.get(field, "placements")).columns
        if not any(column.field in value[0] for column in columns) or field == "regions":
            columns = tuple(Column(name.replace("_", " ").upper(), name) for name in value[0])
        table(value, [column for column in columns if column.field in value[0] and column.field != "evidence"])
        for flag in value if field == "flags" else ():
            for item in flag["evidence"]:
                click.echo(f"  {flag['component']}: {item['name']} = {item['value']}  at {item['time']}")


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
