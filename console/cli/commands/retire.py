"""`orbital retire`: deletion, for good."""

from __future__ import annotations

import sys
from typing import Any
from uuid import uuid4

import click

from console.cli.asking import checked_reason, typed_again, waits
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

WORDS = ("tenants", "systems", "services")
LINKS = "links"
# What a full name begins with.
REGIONS = "regions/"
FULL = (WORDS[0], "edge-policies", "regions")
SHAPES = "TENANT, TENANT/SYSTEM, TENANT/SYSTEM/SERVICE, TENANT/links/LINK or a full name as `orbital get` prints it"


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the trace.")
@click.option("--dry-run", is_flag=True, help="Only say what would be retired.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait until every region has purged.")
@timeout_option("5m")
@output_option("table", "json", "yaml")
@connection_options
def retire(
    names: tuple[str, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    wait: bool,
    timeout: float,
    output: str,
    target: Target,
) -> None:
    """Retire Tenants, Systems or Services with everything beneath them, Links, or edge policies.

    NAME is TENANT, TENANT/SYSTEM, TENANT/SYSTEM/SERVICE or TENANT/links/LINK, or a full name such as
    tenants/TENANT/links/LINK, edge-policies/POLICY or regions/REGION. Keys are purged everywhere, and nothing brings
    back what they encrypted; a Link is unlinked. The name is not used again. More than a tenth of what the tenants
    have, and at least five resources, are retired once another person approves (orbital approve). Of a region that is
    not empty it is asked that it be decommissioned. On a terminal it asks, unless --yes is given.
    """  # fmt: skip
    from orbital.v1.registry_pb2 import RetireRequest

    from console.cli.commands.approval import ask
    from console.cli.connection import connect
    from runtime.errors import Precondition

    text = checked_reason(reason)
    request = RetireRequest(
        names=[full_name(name) for name in names], reason=text, request_id=uuid4().hex, validate_only=True
    )
    with connect(target) as connection:
        region = names[0].removeprefix(REGIONS)
        try:
            response = connection.call(connection.registry.Retire, request)
        except Precondition as error:
            if error.reason != "REGION_NOT_EMPTY" or len(names) > 1:
                raise
            # Nothing is retired at once: it takes a second person, as does every region that something stands in.
            say(f"{names[0]} is not empty. It is taken out by: orbital region decommission {region} --reason TEXT")
            ask(connection, {"decommission_region": region}, text, output, dry_run=dry_run)
            return
        if not dry_run and response.changes:
            tell_old(connection.login)
            if not yes and sys.stdin.isatty():
                _confirm(response)
            request.validate_only = False
            response = connection.call(connection.registry.Retire, request)
        _print(response, output, dry_run=dry_run)
        if wait and response.correlation_id:
            from console.cli.job import finish

            say(finish(connection, response.correlation_id, timeout))


def full_name(name: str) -> str:
    """The full resource name that a person means."""
    parts = name.split("/")
    if parts[0] in FULL and len(parts) > 1:
        return name
    if len(parts) == 3 and parts[1] == LINKS and all(parts):
        return f"{WORDS[0]}/{name}"
    if len(parts) > len(WORDS) or not all(parts):
        raise Failure(f'"{name}" is no name; expected {SHAPES}.', Exit.USAGE)
    return "/".join(f"{word}/{part}" for word, part in zip(WORDS, parts, strict=False))


def _confirm(response: Any) -> None:
    for change in response.changes:
        say(f"- {change.name}  ({count(change.regions, 'region')})")
    typed_again("purge", "destroy these keys everywhere")


def _print(response: Any, output: str, *, dry_run: bool) -> None:
    from console.cli import rows

    if output != "table":
        changes = [rows.change(one) for one in response.changes]
        write(
            {
                "correlation_id": response.correlation_id,
                "approval_id": response.approval_id,
                "needs_approval": response.needs_approval,
                "dry_run": dry_run,
                "changes": changes,
            },
            output,
        )
        return
    for change in response.changes:
        click.echo(f"- {change.name}  ({count(change.regions, 'region')})")
    if not response.changes:
        click.echo("All of it was retired before. Nothing changed.")
        return
    would = "Would be " if dry_run or response.approval_id else ""
    click.echo(f"{would}{len(response.changes)} retired.")
    waits(response.needs_approval, response.approval_id)
    if response.correlation_id:
        click.echo(f"Correlation ID: {response.correlation_id}")
