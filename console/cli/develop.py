"""`orbital check` and `orbital test`: what keeps the house in order, run from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from console.cli.failure import Exit, Failure
from console.cli.moments import elapsed
from console.cli.render import say

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
PACKAGES = ("runtime", "gateway", "region", "checker", "console", "stack", "bench")
# In this order: what takes long begins first, and what measures times has the machine to itself.
SUITES = ("contract", "integration", "unit", "system")
# Take many minutes, and run only when they are named.
LONG = ("fuzz", "simulation", "transports", "soak")


@dataclass(frozen=True, slots=True)
class Step:
    """One check: its name, and the command that fails when it does not hold."""

    name: str
    command: tuple[str, ...]


def steps() -> list[Step]:
    """Every check, the quick ones first."""
    python, packages = sys.executable, [name for name in PACKAGES if (ROOT / name).is_dir()]
    pytest = (python, "-m", "pytest", "-q")
    return [
        Step("format", (python, "-m", "ruff", "format", "--check", ".")),
        Step("lint", (python, "-m", "ruff", "check", ".")),
        Step("layers", (str(TOOLS / "lint-imports"), "--no-cache")),
        Step("protos", (str(TOOLS / "buf"), "lint", "proto")),
        Step("types", (python, "-m", "mypy", "--strict", *packages)),
        Step("house", (*pytest, "tests/unit/test_house.py")),
        # Rego's format, strictness, tests and coverage; Envoy's templates parsed, compared and validated.
        Step("policies", (*pytest, "tests/unit/policies")),
        Step("sql", (*pytest, "tests/integration/test_gateway.py", "-k", "prepares")),
    ]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(names: tuple[str, ...]) -> None:
    """Check format, lint, import layers, protos, types, policies, SQL and Envoy configuration; changes nothing.

    With names, only those: format, lint, layers, protos, types, house, policies, sql.
    """
    _need_checkout()
    known = {step.name: step for step in steps()}
    for name in names:
        if name not in known:
            raise Failure(f'Unknown check "{name}". Expected one of {", ".join(known)}.', Exit.USAGE)
    before = _work_tree()
    failed = [step.name for step in known.values() if (not names or step.name in names) and not _holds(step)]
    if _work_tree() != before:
        say("The checks changed files of the work tree; they must not.")
        failed.append("diff")
    if failed:
        raise Failure(f"Checks that do not hold: {', '.join(failed)}.")
    say("All checks hold.")


def _holds(step: Step) -> bool:
    begun = time.monotonic()
    say(f"{step.name:<10} …")
    done = subprocess.run(step.command, cwd=ROOT, check=False, capture_output=True, text=True)
    held = done.returncode == 0
    say(f"{step.name:<10} {'ok' if held else 'FAILED'}  {elapsed(time.monotonic() - begun)}")
    if not held:
        sys.stdout.write(done.stdout + done.stderr)
        sys.stdout.flush()
    return held


def _work_tree() -> bytes:
    """What git sees of the files' contents; empty outside a repository, where nothing can be compared."""
    done = subprocess.run(("git", "status", "--porcelain"), cwd=ROOT, check=False, capture_output=True)
    changes = subprocess.run(("git", "diff"), cwd=ROOT, check=False, capture_output=True)
    return done.stdout + changes.stdout


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("-k", "expression", default="", metavar="EXPRESSION", help="Only tests that match, as in pytest.")
@click.option("--minutes", type=click.FloatRange(min=0.1), help="How long fuzz goes on; 2 without.")
@click.option("--seed", type=int, help="What fuzz draws its messages from; 1 without.")
@click.option("--seeds", type=click.IntRange(min=1), help="How many schedules simulation runs; 200 without.")
@click.option("--first-seed", type=int, help="The seed of the first of them; 0 without.")
@click.option(
    "--rabbitmq", type=click.Choice(["3", "4"]), help="Major version of the message broker; without, as is set."
)
def test(suites: tuple[str, ...], expression: str, rabbitmq: str | None, **options: float | None) -> int:
    """Run the tests: unit, contract, integration and system, or only the suites named.

    Some take long, and run only when they are named. `fuzz`: hostile input at every entry point of a stack, and what it
    does to everybody else; two minutes of it end the system tests. `simulation`: schedules of changes and faults in
    simulated time. `transports`: each path cut, changed and its broker killed under load, for each identity. `soak`:
    ten minutes under load, with certificates and keys that live a minute.

    The exit status is pytest's own.
    """
    _need_checkout()
    for suite in suites:
        if not (ROOT / "tests" / suite).is_dir():
            raise Failure(f'Unknown suite "{suite}". Expected one of {", ".join((*SUITES, *LONG))}.', Exit.USAGE)
    chosen = {"ORBITAL_STACK__RABBITMQ_VERSION": rabbitmq} if rabbitmq else {}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]
    return _pytest(suites or SUITES, [*given, *(("-k", expression) if expression else ())], chosen)


def _pytest(suites: Sequence[str], more: Sequence[str], chosen: Mapping[str, str]) -> int:
    """One run for all suites, so that its closing line speaks for all of them."""
    folders = [f"tests/{suite}" for suite in suites]
    begun = time.monotonic()
    say(f"tests: {', '.join(suites)}")
    command = (sys.executable, "-m", "pytest", *_processes(suites), *folders, *more)
    done = subprocess.run(command, cwd=ROOT, env=os.environ | chosen, check=False)
    say(f"tests: {elapsed(time.monotonic() - begun)}")
    return done.returncode


def _processes(suites: Sequence[str]) -> tuple[str, ...]:
    """Suites run beside one another, in as many processes as there are cores, but at most four; one alone does not."""
    cores = min(os.cpu_count() or 1, 4)
    return ("-n", str(cores)) if len(suites) > 1 and cores > 1 else ()


def _need_checkout() -> None:
    if not (ROOT / "pyproject.toml").is_file():
        raise Failure("This needs a checkout of the repository; an installed package has no tests.", Exit.USAGE)
