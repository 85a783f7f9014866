"""A browser for the tests of the console: the distribution's Chromium without a window."""

from __future__ import annotations

from pathlib import Path

from stack.acquire.debian import packages

BINARY = "chromium-headless-shell"
# Finds the libraries that came with it, wherever the tree is.
LAUNCHER = """#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd -P)
LD_LIBRARY_PATH=$(find "$root/usr/lib" -name '*.so*' ! -path '*/chromium/*' -printf '%h\\n' | sort -u | paste -sd:)
export LD_LIBRARY_PATH
exec "$root/usr/lib/chromium/chromium-headless-shell" "$@"
"""


def chromium() -> Path:
    """A tree with `chromium`, which starts it."""
    return packages("chromium", [BINARY], _launcher, needs=True)


def _launcher(tree: Path, _final: Path) -> None:
    script = tree / "chromium"
    script.write_text(LAUNCHER)
    script.chmod(0o755)
