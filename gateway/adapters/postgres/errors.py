"""From the driver's errors to ours, by SQLSTATE, with a default: none of the driver's leaves this package."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from gateway.ports.store import CONTENDED
from runtime.errors import Conflict, Invalid, OrbitalError, Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

# All that the driver raises: what the server says, misuse of a connection, the driver's own state, and the transport.
DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, TimeoutError)

# Without an SQLSTATE: the connection is lost, or the driver no longer knows what state it was in when that happened.
LOST = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, TimeoutError)

AWAY = ("STORE_UNAVAILABLE", "The database does not answer; nothing is lost, try again")
# The reason and the sentence, by SQLSTATE or by its class: the longest that fits counts.
UNAVAILABLE: dict[str, tuple[str, str]] = {
    "08": AWAY,
    "25006": ("DATABASE_READ_ONLY", "The database is read-only; nothing is lost, try again"),
    "28": ("DATABASE_LOGIN_REFUSED", "The database refuses the gateway's login"),
    "3D": ("DATABASE_MISSING", "The database of the gateway does not exist"),
    "40": (CONTENDED, "Another change was in the way; nothing is lost, try again"),
    "42501": ("DATABASE_FORBIDDEN", "The database does not allow this to the gateway's role"),
    "53": ("DATABASE_OUT_OF_RESOURCES", "The database has no resources left; nothing is lost, try again"),
    "53100": ("DATABASE_DISK_FULL", "The disk of the database is full; nothing is lost, try again"),
    "53200": ("DATABASE_OUT_OF_MEMORY", "The database is out of memory; nothing is lost, try again"),
    "53300": ("DATABASE_CONNECTIONS", "The database takes no more connections; nothing is lost, try again"),
    "55P03": (CONTENDED, "Another change was in the way; nothing is lost, try again"),
    "57014": ("STATEMENT_CANCELLED", "The database ended the statement; nothing is lost, try again"),
    "57P": AWAY,
    "58": ("DATABASE_FAULT", "The database cannot read or write its files; nothing is lost, try again"),
    "XX": ("DATABASE_FAULT", "The database reports a fault of its own; nothing is lost, try again"),
}
UNKNOWN = ("DATABASE_ERROR", "The database reports an error; nothing is lost, try again")
# A value is at fault, and would be tomorrow: out of range, no text, against a constraint, or too large.
REFUSED = ("22", "23", "54")
UNIQUE = "23505"
# An error that nobody expects is logged this often, in seconds, for each statement.
LOG_SECONDS = 60.0
_logged: dict[tuple[str, str], float] = {}


def from_driver(error: Exception, statement: str) -> OrbitalError:
    """Our error for one of the driver's: Invalid when a value is at fault, Conflict for a key that is taken.

    Everything else is Unavailable, with a reason of its own where a person can act on it.
    """
    state = _state(error)
    if state == UNIQUE:
        return Conflict("Another change has written this already; read it again", reason="ALREADY_EXISTS")
    if state.startswith(REFUSED) or _is_argument(error):
        return Invalid(
            f"The database cannot store a value of this request ({_kind(error)})",
            reason="CANNOT_BE_STORED",
            field=getattr(error, "column_name", None) or "",
        )
    known = next((UNAVAILABLE[state[:size]] for size in (5, 3, 2) if state[:size] in UNAVAILABLE), None)
    if known is None and isinstance(error, LOST):
        known = AWAY
    if known is None:
        _log_once(error, statement, state)
    reason, message = known or UNKNOWN
    return Unavailable(message, reason=reason)


@contextmanager
def translating(statement: str) -> Iterator[None]:
    """Turn what the driver raises inside into one of ours; `statement` is what the log calls it."""
    try:
        yield
    except DRIVER as error:
        raise from_driver(error, statement) from error


def _state(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


def _is_argument(error: Exception) -> bool:
    """Whether the driver could not write an argument: it never reached the server."""
    return isinstance(error, asyncpg.InterfaceError) and str(error).startswith("invalid input")


def _kind(error: Exception) -> str:
    # The message may hold the value itself.
    return f"{type(error).__name__}, SQLSTATE {_state(error)}" if _state(error) else type(error).__name__


def _log_once(error: Exception, statement: str, state: str) -> None:
    now, key = time.monotonic(), (type(error).__name__, statement)
    if now - _logged.get(key, -LOG_SECONDS) >= LOG_SECONDS:
        _logged[key] = now
        log.error("database_error", statement=statement, kind=key[0], sqlstate=state, error=str(error)[:500])
