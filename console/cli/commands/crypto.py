"""`orbital wrap` and `orbital unwrap`: a data key under a Service, at one region.

Key material comes from a file or standard input and never from an argument, which every user of the machine could read.
"""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options
from console.cli.render import say, write

if TYPE_CHECKING:
    from console.cli.connection import Connection

MAX_KEY = 1_024
MAX_INPUT = 64 * 1_024

_service = click.argument("service", metavar="TENANT/SYSTEM/SERVICE")
_region = click.option("--region", required=True, help="The region that does it.")
_context = click.option(
    "--associated-data", default="", metavar="TEXT", help="Bound to the ciphertext; the same text unwraps it."
)


@click.command()
@_service
@_region
@click.option("--plaintext-file", type=click.Path(path_type=Path), help="The key's bytes; default: standard input.")
@_context
@click.option("-o", "--output", type=click.Choice(["base64", "json"]), default="base64", show_default=True)
@connection_options
def wrap(
    service: str, region: str, plaintext_file: Path | None, associated_data: str, output: str, target: Target
) -> None:
    """Wrap a data key of 1 to 1,024 bytes; prints the ciphertext in base64."""
    from orbital.v1.crypto_pb2 import WrapRequest

    from console.cli.connection import connect

    names = _names(service)
    plaintext = _input(plaintext_file, MAX_KEY, "the key's bytes")
    with connect(target) as connection:
        request = WrapRequest(**names, plaintext=plaintext, associated_data=associated_data.encode())
        answer = call_region(connection, region, "Wrap", request)
    ciphertext = base64.b64encode(answer.ciphertext).decode()
    if output == "json":
        write({**names, "region": region, "ciphertext": ciphertext, "key_version": answer.key_version}, output)
    else:
        click.echo(ciphertext)


@click.command()
@_service
@_region
@click.option("--ciphertext-file", type=click.Path(path_type=Path), help="In base64; default: standard input.")
@_context
@click.option("-o", "--output", type=click.Choice(["raw", "base64", "json"]), default="raw", show_default=True)
@connection_options
def unwrap(
    service: str, region: str, ciphertext_file: Path | None, associated_data: str, output: str, target: Target
) -> None:
    """Unwrap a ciphertext in base64; writes the key's bytes as they are (-o base64 for text)."""
    from orbital.v1.crypto_pb2 import UnwrapRequest

    from console.cli.connection import connect

    names = _names(service)
    try:
        ciphertext = base64.b64decode(b"".join(_input(ciphertext_file, MAX_INPUT, "base64").split()), validate=True)
    except binascii.Error as error:
        raise Failure(f"The ciphertext is no base64: {error}.") from error
    with connect(target) as connection:
        request = UnwrapRequest(**names, ciphertext=ciphertext, associated_data=associated_data.encode())
        answer = call_region(connection, region, "Unwrap", request)
    encoded = base64.b64encode(answer.plaintext).decode()
    if output == "json":
        write({**names, "region": region, "plaintext": encoded, "key_version": answer.key_version}, output)
    elif output == "base64":
        click.echo(encoded)
    else:
        sys.stdout.buffer.write(answer.plaintext)
        sys.stdout.buffer.flush()


def call_region(connection: Connection, region: str, method: str, request: Any) -> Any:
    """Call Wrap or Unwrap at a region's Crypto service; raises Failure when there is no such region."""
    address = endpoint(connection, region)
    where = f"Region {region} unreachable at {address}"
    return connection.call(getattr(connection.crypto(address), method), request, where=where)


def endpoint(connection: Connection, region: str) -> str:
    """host:port of a region's Crypto service: from the state file, else as the region was declared."""
    from console.cli.nouns import RowFilter, find, named

    local = str(connection.state.get("regions", {}).get(region, {}).get("crypto", ""))
    if local:
        return local
    noun = find("regions")
    declared = str(named(noun, list(noun.rows(connection, RowFilter())), region)[0]["crypto_endpoint"])
    if not declared:
        raise Failure(f"Region {region} has no crypto endpoint. Declare it: spec.cryptoEndpoint", Exit.UNAVAILABLE)
    return declared


def _names(service: str) -> dict[str, str]:
    parts = service.split("/")
    if len(parts) == 6 and parts[::2] == ["tenants", "systems", "services"]:
        parts = parts[1::2]
    if len(parts) != 3 or not all(parts):
        raise Failure(f'"{service}" is no service; expected TENANT/SYSTEM/SERVICE.', Exit.USAGE)
    return dict(zip(("tenant", "system", "service"), parts, strict=True))


def _input(path: Path | None, most: int, what: str) -> bytes:
    if path is None and sys.stdin.isatty():
        say(f"Reading {what} from the terminal; end with Ctrl-D.")
    try:
        if path is None:
            content = sys.stdin.buffer.read(most + 1)
        else:
            with path.open("rb") as stream:
                content = stream.read(most + 1)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    if not 0 < len(content) <= most:
        size = "nothing" if not content else f"more than {most:,} bytes"
        raise Failure(f"The input holds {size}; expected {what}, 1 to {most:,} bytes.")
    return content
