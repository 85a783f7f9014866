"""ROTATE_KEY: a new version; lower levels are wrapped anew, nothing is encrypted anew."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain.names import Name
from region.domain.result import Result
from region.handlers.define_key import define_key
from region.handlers.parts import Parts


async def rotate_key(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Bring the key to the version that is wanted.

    A rotation that overtook its definition makes the key with all its versions, so it is the same work.
    """
    return await define_key(parts, task, name)
