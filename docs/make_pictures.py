"""Takes the pictures of docs/howto anew: runs the console's browser tests, and keeps what they saw."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAKEN = ROOT / "build" / "screenshots"
TESTS = [ROOT / "tests" / "system" / "console" / f"test_{name}.py" for name in ("pages", "live", "restore")]
SHOWN = ROOT / "docs" / "howto" / "pictures"
NAMES = (
    *("fleet-flag", "region-flag", "region-timeline"),
    *("kill-radius", "kill-wave", "kill-link", "trace", "restoration-open"),
)


def main() -> int:
    """Replace every picture; the exit status is that of the tests."""
    command = (sys.executable, "-m", "pytest", "-q", *map(str, TESTS), *sys.argv[1:])
    done = subprocess.run(command, cwd=ROOT, check=False)
    SHOWN.mkdir(exist_ok=True)
    for name in NAMES:
        shutil.copyfile(TAKEN / f"{name}.png", SHOWN / f"{name}.png")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
