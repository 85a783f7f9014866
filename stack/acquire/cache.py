"""The user's cache: one directory a part and version, there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def root() -> Path:
    """Where parts are kept: $XDG_CACHE_HOME/orbital or ~/.cache/orbital."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if chosen.startswith("/") else Path.home() / ".cache") / "orbital"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file lock `path`: other processes wait for it; it ends with this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(name: str, build: Callable[[Path, Path], None]) -> Path:
    """The directory `name` of the cache, made by `build(temporary, final)` if it is not there.

    The temporary directory is renamed to the final one only after `build` returned, so no half-made part is ever seen.
    """
    final = root() / name
    if final.is_dir():
        return final
    with locked(root() / "locks" / name):
        if final.is_dir():
            return final
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root()))
        try:
            temporary.chmod(0o755)
            build(temporary, final)
            temporary.rename(final)
        finally:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)
    return final
