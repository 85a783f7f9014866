"""SYNC_POLICY: what the region's edges let through. It touches no key, so its fence is in the region's own database."""

from __future__ import annotations

from orbital.v1 import task_pb2 as pb

from region.domain.names import Name
from region.domain.result import Result, done, stale
from region.handlers.parts import Parts


async def sync_policy(parts: Parts, task: pb.Task, name: Name) -> Result:
    """Keep the policy, or its tombstone, unless a newer one is held; the edges' bundle follows from what is kept."""
    generation = task.resource.generation
    held = await parts.edges.keep(name.leaf, generation, task.resource.SerializeToString(deterministic=True))
    if held > generation:
        return stale(held)
    return done(generation, "RETIRED" if task.resource.retired else "HELD")
