"""One Declare request from many declarations, and its errors told in the words of the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orbital.v1.registry_pb2 import DeclareRequest

from console.cli.declaration.load import Declaration, locate
from console.cli.declaration.problem import Problem, Refused
from runtime.errors import Conflict, Invalid, NotFound, OrbitalError, Precondition

MAX_RESOURCES = 5_000
# Envoy takes 4 MiB; gRPC adds a frame header of five bytes, and the room is left for it.
MAX_REQUEST = 4 * 1024 * 1024 - 1024
# The errors that name a declared field.
IN_FILE = (Invalid, NotFound, Precondition, Conflict)
FIELD = re.compile(r"resources\[(\d+)\]\.?(.*)", re.DOTALL)


def to_request(
    declarations: Sequence[Declaration], request_id: str, *, validate_only: bool, accept_departures: int = 0
) -> DeclareRequest:
    """The request for one Declare; raises Refused when it is more than one can carry."""
    request = DeclareRequest(
        resources=[one.resource for one in declarations],
        request_id=request_id,
        validate_only=validate_only,
        accept_departures=accept_departures,
    )
    files = ", ".join(dict.fromkeys(one.file for one in declarations))
    size = request.ByteSize()
    if len(declarations) > MAX_RESOURCES:
        found = f"{len(declarations):,} documents; expected at most {MAX_RESOURCES:,} in one change. Split the file"
        raise Refused([Problem(files, 0, "", found)])
    if size > MAX_REQUEST:
        found = f"{size:,} bytes once encoded; expected at most {MAX_REQUEST:,} in one change. Split the file"
        raise Refused([Problem(files, 0, "", found)])
    return request


def in_file(error: OrbitalError, declarations: Sequence[Declaration]) -> Exception:
    """The server's refusal as a Refused with file and line, if it names a declared field; otherwise itself."""
    match = FIELD.fullmatch(error.field)
    if not isinstance(error, IN_FILE) or not match or int(match[1]) >= len(declarations):
        return error
    one = declarations[int(match[1])]
    line, path = locate(one.root, match[2])
    message = error.message.removeprefix(error.field).lstrip(": ")
    return Refused([Problem(one.file, line, path, message)])
