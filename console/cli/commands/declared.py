"""`orbital declared`: what is declared of a tenant, as the file that `orbital apply` takes."""

from __future__ import annotations

import click

from console.cli.options import Target, connection_options

KINDS = ("SYSTEM", "SERVICE", "LINK")


@click.command()
@click.argument("tenant")
@click.option("--fenced", is_flag=True, help="With generations: what changed meanwhile is then refused by `apply`.")
@connection_options
def declared(tenant: str, fenced: bool, target: Target) -> None:
    """Print the declaration of TENANT, its Systems, Services and Links: change it, and `orbital apply -f` it."""
    from orbital.v1.registry_pb2 import ListResourcesRequest, ResourceKind

    from console.cli.connection import connect
    from console.cli.declaration.write import write_documents
    from console.cli.nouns import PAGE, RowFilter, find, named

    with connect(target) as connection:
        noun = find("tenant")
        named(
            noun,
            list(noun.rows(connection, RowFilter(tenant=tenant))) or list(noun.rows(connection, RowFilter())),
            tenant,
        )
        found = []
        for kind in ("TENANT", *KINDS):
            number = ResourceKind.Value(f"RESOURCE_KIND_{kind}")
            request = ListResourcesRequest(kind=number, tenant=tenant, page_size=PAGE)
            for answer in connection.pages(connection.registry.ListResources, request):
                found += answer.resources
    click.echo(write_documents(found, fenced=fenced), nl=False)
