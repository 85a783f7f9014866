"""`orbital bench`: figures of the live stack."""

from __future__ import annotations

import click

from console.cli.failure import Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.render import say, write


@click.group()
def bench() -> None:
    """Measure the live stack."""


@bench.command()
@click.option("--tasks", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many durable tasks.")
@output_option("table", "json")
@connection_options
def throughput(tasks: int, output: str, target: Target) -> None:
    """Measure tasks a second through every hop and decision, CPU a task by process, and idle latency."""
    from importlib import import_module

    try:
        # The bench comes with a checkout, not with the installed package.
        measure = import_module("bench.throughput").measure
    except ModuleNotFoundError as error:
        raise Failure("This needs a checkout of the repository; an installed package has no bench.") from error
    answer = measure(target.directory, tasks, say)
    if output == "json":
        write(answer, output)
        return
    click.echo(f"{answer['tasks']:,} tasks, {answer['tasks_per_second']:,.0f} a second")
    for process, cost in answer["cpu_ms_per_task"].items():
        click.echo(f"  {process:<28} {cost:.3f} ms CPU a task")
    latency = answer["latency_ms"]
    click.echo(f"idle latency: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
