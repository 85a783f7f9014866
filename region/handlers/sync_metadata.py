"""SYNC_METADATA: labels and attributes. It touches no key, so it is decided for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

from orbital.v1 import task_pb2 as pb

from region.domain.intent import wanted_version
from region.domain.result import Result, done
from region.domain.work import Entry


def sync_metadata(entries: Sequence[Entry]) -> list[Result]:
    """Each entry is newer than what is held: the journal keeps the new body and generation in its one transaction."""
    return [_held(entry) for entry in entries]


def _held(entry: Entry) -> Result:
    held, resource = entry.held, entry.task.resource
    if held is None:
        return done(resource.generation)
    version = held.version if wanted_version(resource) else 0
    return done(resource.generation, held.state, pb.KEY_STATE_UNSPECIFIED, version)
