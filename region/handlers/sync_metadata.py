"""SYNC_METADATA: labels and attributes. It touches no key, so it is decided for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

from region.domain.result import Result, done
from region.domain.work import Entry


def sync_metadata(entries: Sequence[Entry]) -> list[Result]:
    """Each entry is newer than what is held: the journal keeps the new body and generation in its one transaction."""
    return [_held(entry) for entry in entries]


def _held(entry: Entry) -> Result:
    held = entry.held
    if held is None:
        return done(entry.generation)
    return done(entry.generation, held.state, key_version=held.version)
