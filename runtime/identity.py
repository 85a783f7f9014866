"""The files of an identity: a certificate, its key and the authority, swapped together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from runtime.private_files import write_private

KEPT_VERSIONS = 2


def swap(place: Path, files: Mapping[str, str]) -> None:
    """Make `files` the current version at `place` in one step: nobody sees a certificate with another's key."""
    fresh = place / "versions" / f"{time.time_ns()}"
    fresh.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        write_private(fresh / name, content)
    link = place / f".current.{fresh.name}"
    link.symlink_to(Path("versions") / fresh.name)
    link.rename(place / "current")
    for old in sorted((place / "versions").iterdir())[:-KEPT_VERSIONS]:
        shutil.rmtree(old, ignore_errors=True)


def of_one_version(*files: Path) -> tuple[Path, ...]:
    """These files of one directory as they are now, so that a swap between two reads gives no key of another."""
    places = {place: place.resolve() for place in {file.parent for file in files}}
    return tuple(places[file.parent] / file.name for file in files)
