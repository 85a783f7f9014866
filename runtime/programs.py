"""Running a program to its end: no longer than a time, and with no more of its output than a bound."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import Invalid

MOST_OUTPUT = 16 * 1024 * 1024  # of a program's output; test reports and search results have some MiB


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said."""

    status: int
    out: str
    err: str


def run(
    command: Sequence[str], *, seconds: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run it; raises Invalid when it says too much, TimeoutError when it takes too long, and OSError."""
    with (
        subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        ThreadPoolExecutor(2) as readers,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        said = [readers.submit(pipe.read, MOST_OUTPUT + 1) for pipe in (process.stdout, process.stderr)]
        try:
            for one in as_completed(said, timeout=seconds):
                if len(one.result()) > MOST_OUTPUT:
                    message = f"{Path(command[0]).name} says more than {MOST_OUTPUT} bytes"
                    raise Invalid(message, reason="OUTPUT_TOO_LONG")
            process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            process.kill()
    return Ended(process.returncode, *(one.result().decode(errors="replace") for one in said))
