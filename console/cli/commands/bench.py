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
    signatures = answer["signatures"]
    click.echo(f"signatures: {signatures['cpu_ms_per_task']:.4f} ms CPU a task, {signatures['share']:.1%} of it all")
    latency = answer["latency_ms"]
    click.echo(f"idle latency: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")


@bench.command()
@click.option("--region", help="The region that serves; the first one, unless told otherwise.")
@click.option("--seconds", type=click.FloatRange(min=1), default=5, show_default=True, help="How long each part takes.")
@output_option("table", "json")
@connection_options
def crypto(region: str | None, seconds: float, output: str, target: Target) -> None:
    """Measure wraps a second at a region, single and batched, and their latency, idle and beside a backlog of tasks."""
    from importlib import import_module

    try:
        measure = import_module("bench.crypto").measure
    except ModuleNotFoundError as error:
        raise Failure("This needs a checkout of the repository; an installed package has no bench.") from error
    answer = measure(target.directory, region, seconds, say)
    if output == "json":
        write(answer, output)
        return
    click.echo(f"single  {answer['wraps_per_second']:>9,.0f} wraps/s, {answer['share_of_empty']:.0%} of empty calls")
    click.echo(f"batched {answer['batched_wraps_per_second']:>9,.0f} wraps/s")
    links = answer["links"]
    click.echo(f"links   {links['tasks_per_second']:>9,.0f} tasks/s, {links['share_of_direct']:.0%} of direct calls")
    for when, latency in answer["latency_ms"].items():
        click.echo(f"{when:<8} p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")


@bench.command()
@click.option("--tasks", type=click.IntRange(min=1), default=10_000, show_default=True, help="How many by each path.")
@click.option("--samples", type=click.IntRange(min=2), default=100, show_default=True, help="Latencies by each path.")
@output_option("table", "json")
@connection_options
def paths(tasks: int, samples: int, output: str, target: Target) -> None:
    """Measure tasks a second and idle latency by lane stream, AMQP and MQTT; the regions get their own path back."""
    from importlib import import_module

    try:
        measure = import_module("bench.paths").measure
    except ModuleNotFoundError as error:
        raise Failure("This needs a checkout of the repository; an installed package has no bench.") from error
    answer = measure(target.directory, tasks, samples, say)
    if output == "json":
        write(answer, output)
        return
    for path, found in answer["paths"].items():
        latency = found["latency_ms"]
        figures = (
            f"{found['tasks_per_second']:>9,.0f} tasks/s, idle p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"
        )
        click.echo(f"{path:<8}{figures}")
