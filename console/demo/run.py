"""Plays the demonstration: the steps in order, a line each, a trace and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from console.cli.commands.trace import COLUMNS, read, with_offsets
from console.cli.connection import connect
from console.cli.declaration.load import load
from console.cli.failure import Exit, Failure
from console.cli.moments import elapsed
from console.cli.options import Target
from console.cli.render import Column, say, table
from console.demo.state import Demo, NotHeld, Stack
from console.demo.steps import STEPS, THREE, Step
from runtime.errors import OrbitalError

ESTATE = Path(__file__).resolve().parents[2] / "examples" / "estate.yaml"
SERVICE, VICTIM, AWAY = "aurora-bank/core/payments", "meridian-health/records/patients", "us20"
GUEST = "northwind-energy/grid/dispatch"
RESULT = (Column("STEP", "title"), Column("HELD", "held"), Column("TOOK", "took"), Column("SHOWN", "shown"))


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one step."""

    title: str
    held: bool
    seconds: float
    shown: str


def play(stack: Stack, directory: Path, *, keep: bool, regions: int = 2) -> int:
    """Play every step on a stack under `directory`; 0 only if all of them held.

    A step that does not hold ends the demonstration. The stack is stopped at the end, unless `keep`.
    """
    begun = time.monotonic()
    steps = STEPS if regions == 2 else (*STEPS, *THREE)
    results = [_start(stack, regions)]
    try:
        if results[0].held:
            results += _steps(stack, directory, steps)
    finally:
        if not keep:
            results.append(_stop(stack))
    held = all(one.held for one in results) and len(results) >= len(steps) + 1
    say("")
    table(
        [{"title": one.title, "held": one.held, "took": elapsed(one.seconds), "shown": one.shown} for one in results],
        RESULT,
    )
    click.echo(f"\n{'Every step held' if held else 'Not every step held'}; {elapsed(time.monotonic() - begun)} in all.")
    if keep:
        click.echo(f"The stack runs on. In a browser: ./orbital open --data {directory}")
        click.echo(f"Try also: ./orbital get regions --data {directory}")
        click.echo(f"Stop it: ./orbital down --data {directory}")
    return Exit.DONE if held else Exit.FAILED


def _start(stack: Stack, regions: int) -> Result:
    say(f"Starting the stack: PostgreSQL, RabbitMQ, OpenBao, SoftHSM, Envoy, OPA, the gateway, {regions} regions …")

    def show() -> str:
        stack.clear()
        stack.up()
        return "every part is ready"

    return _timed("Start the stack", show)


def _stop(stack: Stack) -> Result:
    say("Stopping what was started …")

    def show() -> str:
        stack.down()
        return "everything that was started has ended"

    return _timed("Stop the stack", show)


def _steps(stack: Stack, directory: Path, steps: Sequence[Step]) -> list[Result]:
    results: list[Result] = []
    estate = [one.resource for one in load([str(ESTATE)])]
    with connect(Target(directory, "operator", None, None, None, None)) as connection:
        demo = Demo(stack, connection, estate, SERVICE, VICTIM, GUEST, AWAY, directory=directory)
        for number, step in enumerate(steps, 1):
            say(f"[{number}/{len(steps)}] {step.title} …")
            results.append(_timed(step.title, partial(step.show, demo)))
            if not results[-1].held:
                return results
        results.append(_timed("One trace", partial(_trace, demo)))
    return results


def _timed(title: str, show: Callable[[], str]) -> Result:
    begun = time.monotonic()
    try:
        shown, held = show(), True
    except (NotHeld, OrbitalError, Failure) as error:
        shown, held = str(error), False
    seconds = time.monotonic() - begun
    say(f"      {'held' if held else 'NOT HELD'}, {elapsed(seconds)}: {shown}")
    return Result(title, held, seconds, shown)


def _trace(demo: Demo) -> str:
    answer = read(demo.connection, demo.traced)
    say(f"{answer['correlation_id']}  {answer['action']}  by {answer['actor']}")
    table(with_offsets(answer["hops"], answer["hops"]), COLUMNS)
    stages = list(dict.fromkeys(hop["stage"] for hop in answer["hops"]))
    if "execute" not in stages:
        raise NotHeld(f"the trace has no execution: {', '.join(stages)}")
    return f"{len(answer['hops'])} hops: {', '.join(stages)}"
