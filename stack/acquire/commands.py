"""Running the tools that fetch and build parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.errors import Unavailable
from runtime.programs import run as run_bounded


class AcquireError(Unavailable):
    """A part cannot be had on this machine."""

    default_reason = "PART_UNAVAILABLE"


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, seconds: float = 600) -> str:
    """Standard output of `command`; raises AcquireError with the last lines of what it said."""
    shown = " ".join(command[:6]) + (" …" if len(command) > 6 else "")
    try:
        done = run_bounded(command, cwd=cwd, env=env, seconds=seconds)
    except FileNotFoundError as error:
        raise AcquireError(f"`{shown}`: {command[0]} is not on this machine") from error
    except TimeoutError as error:
        raise AcquireError(f"`{shown}` did not end within {seconds:.0f} s") from error
    if done.status:
        said = (done.err.strip() or done.out.strip()).splitlines()[-4:]
        raise AcquireError(f"`{shown}` failed: " + " / ".join(said))
    return done.out
