"""`orbital kill`: the kill switch."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from console.cli.asking import checked_reason, typed_again
from console.cli.failure import Exit, Failure
from console.cli.moments import silence
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import count, say, write
from console.cli.session import tell_old

if TYPE_CHECKING:
    from orbital.v1.registry_pb2 import KillRequest, KillResponse

    from console.cli.connection import Connection
    from console.cli.rows import Row

BRIEFLY = 5.0


@click.command()
@click.argument("tenant", metavar="TENANT")
@click.option("--link", default="", metavar="LINK", help="Only this link of it; the tenant and its others go on.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the trace.")
@click.option("--dry-run", is_flag=True, help="Only say what would go dark.")
@click.option("--yes", is_flag=True, help="Do not ask for the name again.")
@click.option("--wait", is_flag=True, help="Wait until every region has revoked.")
@timeout_option("2m")
@output_option("table", "json", "yaml")
@connection_options
def kill(
    tenant: str,
    link: str,
    reason: str,
    dry_run: bool,
    yes: bool,
    wait: bool,
    timeout: float,
    output: str,
    target: Target,
) -> None:
    """Revoke every link of a tenant, or one, everywhere, now.

    TENANT is a name or a whole name: acme, tenants/acme, or tenants/acme/links/core for that link alone.

    Shows the blast radius first. On a terminal the name has to be typed again, unless --yes is given; elsewhere
    nothing is asked.
    """
    from orbital.v1.registry_pb2 import KillRequest

    from console.cli.connection import connect

    tenant, link = aimed_at(tenant, link)
    request = KillRequest(tenant=tenant, link=link, reason=checked_reason(reason), request_id=uuid4().hex)
    with connect(target) as connection:
        radius = _radius(connection, request)
        if dry_run:
            _print_radius(radius, output)
            return
        for line in told(radius):
            say(line)
        tell_old(connection.login)
        if not yes and sys.stdin.isatty():
            _confirm(_aim(request), known=not radius["unknown"])
        response = connection.call(connection.registry.Kill, request)
        answer = _model(request, response)
        _print(answer, output)
        if wait and response.correlation_id:
            from console.cli.job import finish

            say(finish(connection, response.correlation_id, timeout))


def aimed_at(name: str, link: str) -> tuple[str, str]:
    """The tenant and the Link that a person means by a name as `get` prints it; raises Failure on what is neither."""
    parts = name.split("/")
    match parts:
        case ["tenants", tenant]:
            return tenant, link
        case ["tenants", tenant, "links", last] if link in {"", last}:
            return tenant, last
        case [tenant]:
            return tenant, link
        case _:
            raise Failure(
                f'"{name}" is neither a tenant nor a link; expected TENANT, tenants/TENANT or '
                "tenants/TENANT/links/LINK. A System or a Service is taken away by: orbital retire NAME",
                Exit.USAGE,
            )


def _radius(connection: Connection, request: KillRequest) -> dict[str, Any]:
    """What the kill would reach. Where that cannot be counted it says so, which must not stop a revocation."""
    from orbital.v1.registry_pb2 import KillRequest

    from runtime.errors import NotFound, Unavailable

    asked = KillRequest(tenant=request.tenant, link=request.link, reason=request.reason, validate_only=True)
    try:
        answer = connection.call(connection.registry.Kill, asked)
    except NotFound as error:
        if error.field == "link":
            raise
        raise Failure(_unknown(connection, request.tenant), Exit.NOT_FOUND) from error
    except Unavailable as error:
        return {**_model(request, None), "unknown": error.message}
    return {**_model(request, answer), "unknown": "", **_served(connection, request, set(answer.regions))}


def _served(connection: Connection, request: KillRequest, reached: set[str]) -> dict[str, Any]:
    """Edges, regions out of reach, and what was served in the last hour; what cannot be told is null."""
    from orbital.v1 import registry_pb2 as api

    from console.cli import rows
    from runtime.errors import OrbitalError

    registry = connection.registry
    # A kill does not wait for whoever could only say more about it.
    ask = partial(connection.call, tries=1, seconds=BRIEFLY)
    listed = partial(connection.pages, tries=1, seconds=BRIEFLY)
    try:
        uses = api.ListUsesRequest(tenant=request.tenant)
        if request.link:
            name = f"tenants/{request.tenant}/links/{request.link}"
            uses.system = ask(registry.GetResource, api.GetResourceRequest(name=name)).link.system
        edges = [one for page in listed(registry.ListEdges, api.ListEdgesRequest()) for one in page.edges]
        found = listed(registry.ListRegions, api.ListRegionsRequest())
        regions = [rows.region(one) for page in found for one in page.regions]
        served = [rows.use(one) for page in listed(registry.ListUses, uses) for one in page.uses]
    except (OrbitalError, Failure):
        return dict.fromkeys(("edges", "unreachable", "uses"))
    away = [one for one in regions if one["name"] in reached and not one["connected"]]
    return {
        "edges": sum(one.region in reached for one in edges),
        "unreachable": [{"region": one["name"], "last_contact_at": one["last_contact_at"]} for one in away],
        "uses": [one for one in served if one["region"] in reached],
    }


def told(radius: dict[str, Any]) -> list[str]:
    """The blast radius in sentences."""
    aim = f"{radius['tenant']}/{radius['link']}" if radius["link"] else radius["tenant"]
    if radius["unknown"]:
        return [f"The blast radius cannot be counted: {radius['unknown']}"]
    if radius["already_killed"]:
        return [f"{aim} was killed before: nothing more goes dark."]
    regions = radius["regions"]
    reached = [count(len(regions), "region"), count(radius["links"], "link"), count(radius["services"], "service")]
    if radius["edges"] is None:
        lines = ["Its edges, and how much it is used, cannot be told now."]
    else:
        reached.append(count(radius["edges"], "edge"))
        lines = [*_out_of_reach(radius["unreachable"]), *_used(radius["uses"], len(regions))]
    if radius["lost_regions"]:
        lines.append(f"Decommissioned, and so not reached: {', '.join(radius['lost_regions'])}. The proof says more.")
    if radius["shared_links"]:
        lines.append(
            f"Links of other tenants that share its L1 key go dark with it: {', '.join(radius['shared_links'])}."
        )
    return [f"Blast radius of {aim}: {', '.join(reached)}. Regions: {', '.join(regions) or 'none'}.", *lines]


def _out_of_reach(away: list[Row]) -> list[str]:
    names = ", ".join(f"{one['region']} ({silence(one['last_contact_at'], time.time())})" for one in away)
    return [f"Out of reach now, dark when it is back or when its lease ends: {names}."] if away else []


def _used(uses: list[Row], regions: int) -> list[str]:
    if not uses:
        return ["How much it is used is not known: no region counts."] if regions else []
    wraps, unwraps = (sum(one[name] for one in uses) for name in ("wraps", "unwraps"))
    since = min(one["since"] for one in uses)
    served = f"{count(wraps, 'wrap')}, {count(unwraps, 'unwrap')}"
    return [f"In the last hour: {served} (counted in {len(uses)} of {regions} regions since {since})."]


def _print_radius(radius: dict[str, Any], output: str) -> None:
    if output != "table":
        write(radius, output)
        return
    for line in told(radius):
        click.echo(line)


def _unknown(connection: Connection, tenant: str) -> str:
    from console.cli.nouns import RowFilter, find, named

    noun = find("tenants")
    try:
        named(noun, list(noun.rows(connection, RowFilter())), tenant)
    except Failure as failure:
        return failure.message
    return f'No tenant "{tenant}". List: orbital get tenants'


def _aim(request: Any) -> str:
    return f"{request.tenant}/{request.link}" if request.link else str(request.tenant)


def _confirm(aim: str, *, known: bool) -> None:
    if not known:
        say("Revoking is possible all the same.")
    typed_again(aim, "revoke it everywhere")


def _model(request: KillRequest, response: KillResponse | None) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "link": request.link,
        "correlation_id": response.correlation_id if response else "",
        "already_killed": response.already_killed if response else False,
        "regions": list(response.regions) if response else [],
        "links": response.links if response else None,
        "services": response.services if response else None,
        "shared_links": list(response.shared_links) if response else [],
        "lost_regions": list(response.lost_regions) if response else [],
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
