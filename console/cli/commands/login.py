"""`orbital login`, `logout` and `whoami`: a person at a command line, by the same accounts as the console."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option, timeout_option
from console.cli.render import say, write
from runtime.files import read_bytes, read_text

PERSON = "spiffe://orbital/person/"


@click.command()
@click.option("--fresh", is_flag=True, help="Type the password again, as a kill or an approval wants it.")
@click.option("--no-browser", is_flag=True, help="Only print the address; where it ends may be pasted here.")
@click.option("--issuer", envvar="ORBITAL_CLI_ISSUER", help="https://…, for a gateway that is no local stack's.")
@click.option("--client", envvar="ORBITAL_CLI_CLIENT", help="The command line's client ID at that issuer.")
@timeout_option("5m")
@connection_options
def login(
    fresh: bool, no_browser: bool, issuer: str | None, client: str | None, timeout: float, target: Target
) -> None:
    """Log in as a person, in a browser; later commands are then theirs, until the token ends or `orbital logout`.

    The token stays in a file of yours alone, and is good for 15 minutes. Running this again takes a moment and no
    password, as long as the login page remembers you.
    """
    from console.cli.loopback import loopback
    from console.cli.oidc import LoginAttempt, discover, redeem, seconds_of
    from console.cli.session import Login, clock, keep

    gateway, authority, issuer, client = _where(target, issuer, client)
    provider = discover(issuer, client, authority)
    with loopback() as server:
        attempt = LoginAttempt(server.redirect)
        address = attempt.address(provider, fresh=fresh)
        typed = _send(address, no_browser=no_browser)
        answer = server.wait(attempt.state, timeout, typed=typed)
    if "code" not in answer:
        said = answer.get("error_description") or answer.get("error") or "without a reason"
        raise Failure(f"The login was refused: {said}", Exit.NOT_LOGGED_IN)
    token, claims = redeem(provider, attempt, answer["code"])
    made = Login(
        gateway, str(authority.resolve()), issuer, str(claims.get("person", "")), token,
        seconds_of(claims, "exp"), seconds_of(claims, "auth_time"),
    )  # fmt: skip
    if not made.person:
        raise Failure("The token names no person of this platform. Nobody is logged in.", Exit.NOT_LOGGED_IN)
    keep(made)
    click.echo(f"Logged in as {made.person} until {clock(made.expires)}.")


@click.command()
@connection_options
def logout(target: Target) -> None:
    """Forget the login of this command line. What the browser remembers is another matter."""
    from console.cli.caller import login_address, state_of
    from console.cli.session import forget

    gateway = login_address(target, state_of(target))
    click.echo("Logged out." if forget(gateway) else "Nobody was logged in.")
    say("The login page may still remember you: log out there too, on a machine that others use.")


@click.command()
@output_option("table", "json", "yaml")
@connection_options
def whoami(output: str, target: Target) -> None:
    """Say who asks, by what, and until when."""
    from console.cli.caller import caller
    from console.cli.moments import at
    from console.cli.session import clock

    who = caller(target)
    known: dict[str, Any] = {"gateway": who.address}
    if who.login is not None:
        known |= {"principal": f"{PERSON}{who.login.person}", "by": "login", "expires_at": at(who.login.expires)}
        known["logged_in_at"] = at(who.login.logged_in) if who.login.logged_in else None
        until = clock(who.login.expires)
    else:
        principal, expires = _certified(who.certificate)
        known |= {"principal": principal, "by": "certificate", "expires_at": at(expires), "logged_in_at": None}
        until = clock(expires)
    if output != "table":
        write(known, output)
        return
    name = str(known["principal"]).removeprefix(PERSON)
    click.echo(f"{name}, by {known['by']}, until {until}, at {known['gateway']}")


def _certified(file: Path | None) -> tuple[str, float]:
    """Whose certificate it is, and its end."""
    from cryptography import x509

    assert file is not None
    certificate = x509.load_pem_x509_certificate(read_bytes(file))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    principal = next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")
    return principal, certificate.not_valid_after_utc.timestamp()


def _where(target: Target, issuer: str | None, client: str | None) -> tuple[str, Path, str, str]:
    """The gateway, its authority, the issuer and the client: as named, else as the local stack says."""
    from console.cli.caller import login_address, state_of

    state = state_of(target)
    local: dict[str, str] = state.get("login", {})
    gateway, issuer = login_address(target, state), issuer or local.get("issuer")
    authorities = [one["ca"] for one in state.get("identity", {}).values() if "ca" in one]
    authority = target.ca or (Path(authorities[0]) if authorities else None)
    if not client and local.get("client"):
        try:
            client = read_text(Path(local["client"]))
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Failure(f"{local['client']} cannot be read: {said}. Run: orbital up") from error
    wanted = {"--gateway": gateway, "--ca": authority, "--issuer": issuer, "--client": client}
    missing = [name for name, value in wanted.items() if not value]
    if missing or authority is None or issuer is None or client is None:
        raise Failure(f"Where to log in is not known: name {', '.join(missing)}.", Exit.USAGE)
    return gateway, authority, issuer, client


def _send(address: str, *, no_browser: bool) -> bool:
    """Open a browser where there is one, and say the address; whether it may be pasted instead."""
    desktop = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")) or sys.platform == "darwin"
    say(f"Log in here:\n\n  {address}\n")
    if desktop and not no_browser:
        click.launch(address)
        return False
    typed = sys.stdin.isatty()
    if typed:
        say("In a browser elsewhere it ends at an address that does not open: paste that here.")
    return typed
