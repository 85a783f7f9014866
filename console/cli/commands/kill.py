"""`orbital kill`: the kill switch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from orbital.v1.registry_pb2 import KillResponse

    from console.cli.connection import Connection


@click.command()
@click.argument("tenant")
@click.option("--link", default="", metavar="LINK", help="Only this link of it; the tenant and its others go on.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the trace.")
@click.option("--yes", is_flag=True, help="Do not ask for the name again.")
@click.option("--wait", is_flag=True, help="Wait until every region has revoked.")
@timeout_option("2m")
@output_option("table", "json", "yaml")
@connection_options
def kill(
    tenant: str, link: str, reason: str, yes: bool, wait: bool, timeout: float, output: str, target: Target
) -> None:
    """Revoke every link of a tenant, or one, everywhere, now.

    Shows the blast radius first. On a terminal the name has to be typed again, unless --yes is given; elsewhere
    nothing is asked.
    """
    from orbital.v1.registry_pb2 import KillRequest

    from console.cli.connection import connect

    request = KillRequest(tenant=tenant, link=link, reason=checked_reason(reason), request_id=uuid4().hex)
    with connect(target) as connection:
        known = _show_radius(connection, request)
        tell_old(connection.login)
        if not yes and sys.stdin.isatty():
            _confirm(_aim(request), known=known)
        response = connection.call(connection.registry.Kill, request)
        answer = _model(request, response)
        _print(answer, output)
        if wait and response.correlation_id:
            from console.cli.commands.apply import converged
            from console.cli.job import follow
            from console.cli.rows import job

            say(converged(job(follow(connection, response.correlation_id, timeout))))


def _show_radius(connection: Connection, request: Any) -> bool:
    """Say what the kill would reach; False when that cannot be counted, which must not stop a revocation."""
    from orbital.v1.registry_pb2 import KillRequest

    from runtime.errors import NotFound, Unavailable

    asked = KillRequest(tenant=request.tenant, link=request.link, reason=request.reason, validate_only=True)
    try:
        radius = connection.call(connection.registry.Kill, asked)
    except NotFound as error:
        if error.field == "link":
            raise
        raise Failure(_unknown(connection, request.tenant), Exit.NOT_FOUND) from error
    except Unavailable as error:
        say(f"The blast radius cannot be counted: {error.message}")
        return False
    regions = ", ".join(radius.regions) or "none"
    say(
        f"Blast radius of {_aim(request)}: {count(len(radius.regions), 'region')} ({regions}), "
        f"{count(radius.links, 'link')}, {count(radius.services, 'service')}."
    )
    if not request.link:
        _show_uses(connection, request.tenant, set(radius.regions))
    return True


def _show_uses(connection: Connection, tenant: str, regions: set[str]) -> None:
    from orbital.v1.registry_pb2 import ListUsesRequest

    from console.cli.rows import use
    from runtime.errors import OrbitalError

    try:
        answer = connection.call(connection.registry.ListUses, ListUsesRequest(tenant=tenant), tries=1)
    except OrbitalError as error:
        say(f"How much it is used cannot be told: {error.message}")
        return
    found = [one for one in map(use, answer.uses) if one["region"] in regions]
    if found:
        wraps, unwraps = (sum(one[name] for one in found) for name in ("wraps", "unwraps"))
        since = min(one["since"] for one in found)
        served = f"{count(wraps, 'wrap')}, {count(unwraps, 'unwrap')}"
        say(f"In the last hour: {served} (counted in {len(found)} of {len(regions)} regions since {since}).")


def _unknown(connection: Connection, tenant: str) -> str:
    from console.cli.nouns import Wanted, find, named

    noun = find("tenants")
    try:
        named(noun, list(noun.rows(connection, Wanted())), tenant)
    except Failure as failure:
        return failure.message
    return f'No tenant "{tenant}". List: orbital get tenants'


def _aim(request: Any) -> str:
    return f"{request.tenant}/{request.link}" if request.link else str(request.tenant)


def _confirm(aim: str, *, known: bool) -> None:
    if not known:
        say("Revoking is possible all the same.")
    typed_again(aim, "revoke it everywhere")


def _model(request: Any, response: KillResponse) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "link": request.link,
        "correlation_id": response.correlation_id,
        "already_killed": response.already_killed,
        "regions": list(response.regions),
        "links": response.links,
        "services": response.services,
    }


def _print(answer: dict[str, Any], output: str) -> None:
    aim = f"{answer['tenant']}/{answer['link']}" if answer["link"] else answer["tenant"]
    if output != "table":
        write(answer, output)
    elif answer["already_killed"]:
        click.echo(f"{aim} had been killed before. Nothing changed.")
    else:
        click.echo(f"Revoking {aim} in {count(len(answer['regions']), 'region')}.")
        click.echo(f"Correlation ID: {answer['correlation_id']}")
