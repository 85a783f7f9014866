"""`orbital proof`: what the regions proved of a change, as a page and as a file; and the check of such a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.render import Column, say, table, write
from runtime.files import read_bytes

if TYPE_CHECKING:
    from orbital.v1.receipt_pb2 import Proof

COLUMNS = (
    Column("REGION", "region"),
    Column("KIND", "kind"),
    Column("RESOURCE", "resource"),
    Column("GEN", "generation", form="number"),
    Column("RECEIVED", "received_at", form="time"),
    Column("DONE", "done_at", form="time"),
    Column("DECISION", "decision_id", form="short"),
    Column("DESTROYED", "gone"),
    Column("AUDIT RECORDS", "audit_records", form="number"),
)


class _Proof(click.Group):
    """A group whose command may be left out: what is no command is a correlation ID."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click.Group."""
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.command(cls=_Proof, context_settings={"ignore_unknown_options": True})
def proof() -> None:
    """Prove a revocation, a purge or an emergency rotation: proof CORRELATION_ID, or proof verify FILE --ca CA."""


@proof.command()
@click.argument("correlation_id")
@click.option(
    "-f", "--file", "path", type=click.Path(path_type=Path, dir_okay=False), help="Where; proof-CORRELATION_ID.json."
)
@output_option("table", "json", "yaml")
@connection_options
def show(correlation_id: str, path: Path | None, output: str, target: Target) -> int:
    """Print what each region proved, check it, and write the file that `proof verify` takes.

    The exit status is 0 only if every region proved it.
    """
    from orbital.v1.receipt_pb2 import GetProofRequest

    from console.cli.connection import connect
    from runtime.proof import write_file

    with connect(target) as connection:
        answer: Proof = connection.call(connection.proof.GetProof, GetProofRequest(correlation_id=correlation_id))
        page = _verified(answer, connection.roots)
    place = path or Path(f"proof-{correlation_id}.json")
    try:
        place.write_bytes(write_file(answer))
    except OSError as error:
        raise Failure(f"{place} cannot be written: {error.strerror}") from error
    _print(page, output)
    say(f"Written to {place}. Anyone can check it: orbital proof verify {place} --ca CA")
    return Exit.UNVERIFIED if page["missing"] or not page["regions"] else Exit.DONE


@proof.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    required=True,
    help="The platform's authority (PEM); of several, any one may be led to.",
)
@output_option("table", "json", "yaml")
def verify(file: Path, ca: Path, output: str) -> int:
    """Check a proof without the system: every signature, and that nothing in the file was changed.

    The exit status is 0 if it holds and every region proved it, 10 if it does not hold or a region is missing.
    """
    from runtime.proof import read_file

    try:
        content, authority = read_bytes(file), read_bytes(ca)
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read: {error.strerror}") from error
    page = _verified(_read(read_file, content), authority)
    _print(page, output)
    say("Verified: every signature holds, and nothing was changed.")
    return Exit.UNVERIFIED if page["missing"] or not page["regions"] else Exit.DONE


def _read(read: Any, content: bytes) -> Proof:
    from runtime.errors import Invalid

    try:
        found: Proof = read(content)
    except Invalid as error:
        raise Failure(f"Not verified: {error.message}", Exit.UNVERIFIED) from error
    return found


def _verified(answer: Proof, authority: bytes) -> dict[str, Any]:
    from runtime.errors import Invalid
    from runtime.proof import page, verify

    try:
        return page(verify(answer, authority))
    except Invalid as error:
        raise Failure(f"Not verified: {error.message}", Exit.UNVERIFIED) from error


def _print(page: dict[str, Any], output: str) -> None:
    if output != "table":
        write(page, output)
        return
    click.echo(f"{page['correlation_id']}  {page['action']} {page['detail']}  by {page['actor']}")
    click.echo(headline(page))
    for one in page["missing"]:
        click.echo(f"  {_absent(one)}")
    for one in page.get("lost", ()):
        click.echo(f"  {lost(one)}")
    click.echo("")
    table([{**one, "gone": _gone(one["destroyed"])} for one in page["receipts"]], COLUMNS)


def _absent(one: dict[str, Any]) -> str:
    """`us20: Sent; the region has not answered. Missing since TIME. Cut off: it stops serving by TIME.`."""
    since = f" Missing since {one['since']}." if one.get("since") else ""
    stops = f" Cut off: it stops serving by {one['stops_by']}." if one.get("stops_by") else ""
    return f"{one['region']}: {one['why']}{since}{stops}"


def lost(region: dict[str, Any]) -> str:
    """What is said of a region that is gone for good, in a sentence."""
    held = [one["resource"] for one in region["resources"] if one["key_state"] != "DESTROYED"]
    proved = ", ".join(f"{one['resource']} g{one['observed_generation']}" for one in region["resources"])
    until = f"may serve until {region['serve_until']}" if region["serve_until"] else "was never heard of"
    return (
        f"{region['region']} was decommissioned at {region['decommissioned_at']} by {region['asked_by']} and "
        f"{region['approved_by']} ({region['reason']}); it {until}. It reported last: {proved}. "
        f"It may still hold: {', '.join(held) or 'nothing'}."
    )


def _gone(lines: list[dict[str, Any]]) -> str:
    """`3 L2 in transit, 3 L3 in memory`; the file has each by name."""
    counted = Counter(f"{one['key']} in {one['place']}" for one in lines)
    return ", ".join(f"{number} {what}" for what, number in counted.items()) or "nothing was held"


def headline(page: dict[str, Any]) -> str:
    """`2 of 2 regions, at TIME, missing: none`."""
    missing = ", ".join(one["region"] for one in page["missing"]) or "none"
    at = f", at {page['proven_at']}" if page["proven_at"] else ""
    return f"{page['proven']} of {page['regions']} regions{at}, missing: {missing}"
