"""The errors of Orbital, and the one table from them to gRPC status codes.

OrbitalError
├── Invalid          the request is wrong: the field says where
├── NotFound         what it names does not exist
├── Conflict         somebody else changed it meanwhile
├── Precondition     right in itself, but not in this state
├── Denied           a policy refused it
├── Unauthenticated  nobody vouches for the caller
├── Exhausted        a limit is reached
├── Unavailable      a part that is needed does not answer
├── Waiting          it will go on by itself, after `retry_after`
└── Stalled          it will not go on by itself
"""

from __future__ import annotations

from typing import ClassVar

import grpc

from runtime.printable import printable

# Bounds in bytes; what goes to a caller is bounded further by runtime.rpc. See docs/security/limits.md.
MOST_MESSAGE = 8192
MOST_REASON = 64
MOST_FIELD = 256


class OrbitalError(Exception):
    """What went wrong, in a sentence for a person and a stable UPPER_SNAKE reason for a program.

    Whatever is repeated in it of what somebody sent, it is printable and bounded from here on.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str = "", field: str = "", retry_after: float | None = None) -> None:
        self.message = printable(message, MOST_MESSAGE)
        super().__init__(self.message)
        self.reason = printable(reason, MOST_REASON) or self.default_reason
        self.field = printable(field, MOST_FIELD)
        self.retry_after = retry_after


class Invalid(OrbitalError):
    """The request is wrong in itself; `field` names where."""

    default_reason = "INVALID"


class NotFound(OrbitalError):
    """What the request names does not exist."""

    default_reason = "NOT_FOUND"


class Conflict(OrbitalError):
    """Somebody else changed it meanwhile; read it again."""

    default_reason = "CONFLICT"


class Precondition(OrbitalError):
    """The request is right in itself, but not in the state that things are in."""

    default_reason = "PRECONDITION"


class Denied(OrbitalError):
    """A policy refused it, and says why."""

    default_reason = "DENIED"


class Unauthenticated(OrbitalError):
    """Nobody vouches for the caller."""

    default_reason = "UNAUTHENTICATED"


class Exhausted(OrbitalError):
    """A limit is reached; the message names it."""

    default_reason = "EXHAUSTED"


class Unavailable(OrbitalError):
    """A part that is needed does not answer; trying again later is right."""

    default_reason = "UNAVAILABLE"


class Waiting(OrbitalError):
    """It goes on by itself after `retry_after` seconds."""

    default_reason = "WAITING"


class Stalled(OrbitalError):
    """It does not go on by itself: a person has to act."""

    default_reason = "STALLED"


STATUS: dict[type[OrbitalError], grpc.StatusCode] = {
    OrbitalError: grpc.StatusCode.INTERNAL,
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.ABORTED,
    Precondition: grpc.StatusCode.FAILED_PRECONDITION,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Waiting: grpc.StatusCode.UNAVAILABLE,
    Stalled: grpc.StatusCode.FAILED_PRECONDITION,
}

# The way back: several errors share a status, and a client sees the plainer one.
ERRORS: dict[grpc.StatusCode, type[OrbitalError]] = {
    status: error for error, status in reversed(STATUS.items()) if error not in (Waiting, Stalled)
} | {grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable}
