"""How a command ends: the exit codes, and the sentence on stderr."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runtime.errors import OrbitalError


class Exit(IntEnum):
    """The exit status of every command (console design, section 8)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_LOGGED_IN = 4
    DENIED = 5
    UNAVAILABLE = 6
    TIMEOUT = 7
    DIFFERS = 8
    CONFLICT = 9
    UNVERIFIED = 10
    SUPERSEDED = 11
    GIVEN_UP = 12
    INTERRUPTED = 130


class Failure(click.ClickException):
    """Ends the command with a sentence on stderr and an exit status."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.status = code

    def show(self, file: IO[Any] | None = None) -> None:
        """See click.ClickException; without its "Error:", because the sentence says so itself."""
        click.echo(self.message, file=file, err=file is None)


CODES = {
    "Invalid": Exit.FAILED,
    "NotFound": Exit.NOT_FOUND,
    "Conflict": Exit.CONFLICT,
    "Precondition": Exit.CONFLICT,
    "Denied": Exit.DENIED,
    "Unauthenticated": Exit.NOT_LOGGED_IN,
    "Exhausted": Exit.UNAVAILABLE,
    "Unavailable": Exit.UNAVAILABLE,
    "Unreachable": Exit.UNAVAILABLE,
    "Waiting": Exit.UNAVAILABLE,
    "Stalled": Exit.FAILED,
}


def to_failure(error: OrbitalError) -> Failure:
    """The end of a command that a server's error caused."""
    name = type(error).__name__
    sentence = error.message.rstrip()
    if name == "Denied" and not sentence.lower().startswith("denied"):
        sentence = f"Denied: {sentence}"
    elif name == "Unauthenticated":
        sentence = f"Not logged in: {sentence.rstrip('.')}. Run: orbital login, or name --cert, --key and --ca"
    elif name == "Invalid" and error.field and error.field not in sentence:
        sentence = f"{error.field}: {sentence}"
    return Failure(sentence, CODES.get(name, Exit.FAILED))
