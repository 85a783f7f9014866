"""EMERGENCY_ROTATE: a new version is ACTIVE, every older one COMPROMISED: nothing is unwrapped by it any more."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain.names import Name
from region.domain.result import Result
from region.handlers.define_key import define_key
from region.handlers.parts import Parts


async def emergency_rotate(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Bring the key to the version that is wanted, and refuse those below the compromised one.

    The same work as a rotation, whose level names what is compromised; on lane 0 and with nothing left in memory.
    """
    parts.cache.drop(name.tenant, name.system)
    outcome = await define_key(parts, task, name)
    # Again: a call may have loaded old versions between the first drop and the write that refuses them.
    parts.cache.drop(name.tenant, name.system)
    return outcome
