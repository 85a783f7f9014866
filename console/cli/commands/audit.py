"""`orbital audit`: the trail of what was accepted, refused and done; checked online or from an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.failure import Exit, Failure
from console.cli.moments import iso
from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, count, say, show, write
from runtime.files import bounded_lines, read_bytes

if TYPE_CHECKING:
    from orbital.v1.audit_pb2 import AuditRecord

    from console.cli.connection import Connection
    from runtime.trail import Held

PAGE = 2000
RECORDS = (
    Column("#", "sequence", form="number"), Column("TIME", "time"), Column("KIND", "kind"), Column("WHAT", "body"),
)  # fmt: skip


@click.group()
def audit() -> None:
    """Show that history is whole: every record chained to the one before, with heads that the regions hold."""


@audit.command(name="list")
@click.option("--after", type=click.IntRange(min=0), help="Those after this record; without it, the last ones.")
@click.option("--limit", type=click.IntRange(1, PAGE), default=50, show_default=True, help="At most this many.")
@output_option("table", "json", "yaml")
@connection_options
def listing(after: int | None, limit: int, output: str, target: Target) -> None:
    """Show records of the trail as they are, unchecked; `audit verify` checks them."""
    from orbital.v1.audit_pb2 import ListAuditRequest

    from console.cli.connection import connect

    with connect(target) as connection:
        call, api = connection.call, connection.audit.ListAudit
        if after is None:
            after = max(0, call(api, ListAuditRequest(page_size=1)).end - limit)
        records: list[AuditRecord] = []
        while len(records) < limit:
            begin = records[-1].sequence if records else after
            page = call(api, ListAuditRequest(after=begin, page_size=min(limit - len(records), PAGE))).records
            if not page:
                break
            records += page
    found = [
        {"sequence": one.sequence, "time": iso(one.record_time), "kind": one.kind, "hash": one.hash.hex(),
         "body": _body(one.body)}
        for one in records
    ]  # fmt: skip
    show(found, RECORDS, output, tuple(found[0]) if found else (), "sequence")


def _body(text: str) -> Any:
    """What a record says; one that cannot be read is shown as it is."""
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@connection_options
def export(file: Path, target: Target) -> None:
    """Write the trail to FILE, with the heads that every region holds; check it by `audit verify --export FILE`."""
    from console.cli.connection import connect
    from runtime.trail import write_line

    lines = 0
    with connect(target) as connection:
        try:
            with file.open("wb") as out:
                for item in _online(connection, HeadCopies()):
                    out.write(write_line(item))
                    lines += 1
        except OSError as error:
            raise Failure(f"{file} cannot be written: {error.strerror}") from error
    say(f"{lines} lines in {file}. Anyone can check it: orbital audit verify --export {file} --ca CA")


@audit.command()
@click.option("--export", "file", type=click.Path(path_type=Path, dir_okay=False), help="An export, instead of online.")
@output_option("table", "json", "yaml")
@connection_options
def verify(file: Path | None, output: str, target: Target) -> int:
    """Check the chain, the signed heads, and the copies of the heads that the regions hold.

    The exit status is 0 if all of it holds, 10 if a record was altered, removed or reordered, the end is cut off, there
    is nothing to verify, or a region that answers holds no copy; the message says which. It is 6 if what was read holds
    and a region could not be asked.
    """
    copies = HeadCopies()
    if file is None:
        from console.cli.connection import connect

        with connect(target) as connection:
            found = _follow(_online(connection, copies), connection.roots)
    elif target.ca is None:
        raise click.UsageError("--export needs --ca: the authority that the signatures must lead to.")
    else:
        found = _offline(file, target.ca)
    status = copies.status()
    found |= {"verified": status is Exit.DONE, "not_asked": copies.away, "without_copies": copies.missing}
    if output != "table":
        write(found, output)
        return status
    said = {Exit.DONE: "Verified", Exit.UNAVAILABLE: "Verified in part"}.get(status, "Not verified: the chain holds")
    holders = ", ".join(found["regions"]) or "no region"
    signed = f"signed to #{found['signed_to']} at {found['signed_at']}"
    heads = count(found["heads"], "signed head")
    click.echo(f"{said} to #{found['records']}, {signed}: {heads} held, copies held by {holders}.")
    if copies.missing:
        click.echo(f"No copy of a head is held by {', '.join(copies.missing)}, which had been heard of before.")
    return status


class HeadCopies:
    """Which regions could not be asked for the heads that they hold, and which hold none."""

    def __init__(self) -> None:
        self.away: list[str] = []
        self.missing: list[str] = []

    def status(self) -> Exit:
        """How a verification ends whose chain holds."""
        if self.missing:
            return Exit.UNVERIFIED
        return Exit.UNAVAILABLE if self.away else Exit.DONE


def _offline(file: Path, ca: Path) -> dict[str, Any]:
    from runtime.trail import read_lines

    try:
        with file.open("rb") as lines:
            return _follow(read_lines(bounded_lines(lines, str(file))), read_bytes(ca))
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read: {error.strerror}") from error


def _follow(items: Iterable[AuditRecord | Held], authority: bytes) -> dict[str, Any]:
    """What holds, as plain values; raises Failure with what does not."""
    from runtime.errors import Invalid
    from runtime.trail import Trail

    try:
        trail = Trail(authority)
        for item in items:
            trail.take(item)
        trail.end()
    except Invalid as error:
        raise Failure(f"Audit: {error.message}", Exit.UNVERIFIED) from error
    signed = trail.signed
    return {
        "records": trail.sequence,
        "heads": trail.heads,
        "signed_to": signed.sequence if signed else 0,
        "signed_at": iso(signed.sign_time) if signed else None,
        "regions": sorted(trail.holders),
    }


def _online(connection: Connection, copies: HeadCopies) -> Iterator[AuditRecord | Held]:
    """The regions' heads first: whatever they are of must then be found in the trail."""
    from orbital.v1.audit_pb2 import ListAuditRequest

    from runtime.trail import TrailPages

    yield from _regional(connection, copies)
    pages = TrailPages()
    while pages.more:
        request = ListAuditRequest(after=pages.after, page_size=PAGE)
        yield from pages.take(connection.call(connection.audit.ListAudit, request))
    pages.check_complete()


def _regional(connection: Connection, copies: HeadCopies) -> Iterator[Held]:
    from orbital.v1.registry_pb2 import ListRegionsRequest
    from orbital.v1.verify_pb2 import ListAuditHeadsRequest

    from console.cli.commands.crypto import endpoint
    from runtime.errors import OrbitalError
    from runtime.trail import Held

    pages = connection.pages(connection.registry.ListRegions, ListRegionsRequest())
    for region in (one for page in pages for one in page.regions):
        name, heard = region.resource.name.rpartition("/")[2], region.HasField("last_contact_at")
        held = False
        try:
            stub = connection.verify(endpoint(connection, name))
            for page in connection.pages(stub.ListAuditHeads, ListAuditHeadsRequest(), tries=1):
                held = held or bool(page.heads)
                yield from (Held(head, name) for head in page.heads)
        except (OrbitalError, Failure) as error:
            # A region that is away holds its copies for the next time; one that never came holds none.
            if heard:
                copies.away.append(name)
            say(f"Region {name} was not asked for the heads that it holds: {error.message}")
            continue
        if heard and not held:
            copies.missing.append(name)
