"""The composition of the command line: the one module of the console that knows the local stack."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from console.cli.shell import Verbs, run

COMMANDS = "console.cli.commands"
VERBS = {
    "apply": f"{COMMANDS}.apply:apply",
    "diff": f"{COMMANDS}.apply:diff",
    "get": f"{COMMANDS}.get:get",
    "describe": f"{COMMANDS}.get:describe",
    "wait": f"{COMMANDS}.wait:wait",
    "kill": f"{COMMANDS}.kill:kill",
    "trace": f"{COMMANDS}.trace:trace",
    "wrap": f"{COMMANDS}.crypto:wrap",
    "unwrap": f"{COMMANDS}.crypto:unwrap",
    "bench": f"{COMMANDS}.bench:bench",
    "check": "console.cli.develop:check",
    "test": "console.cli.develop:test",
}
STACK = ("up", "down", "status", "cut", "heal")


def stack_commands() -> Sequence[click.Command]:
    """The commands of the local stack."""
    from stack.commands import COMMANDS as commands  # noqa: N811 - a list, not a constant of this module

    return commands


@click.command()
@click.option("--keep", is_flag=True, help="Leave the stack running at the end.")
@click.option(
    "--data", "directory", type=click.Path(path_type=Path), default=Path(".orbital"), show_default=True,
    envvar="ORBITAL_CLI_DATA", help="The data directory of the stack.",
)  # fmt: skip
def demo(keep: bool, directory: Path) -> int:
    """Start a stack and watch an estate carried to two regions, one of them cut off and healed, a tenant killed.

    Every step is checked; the exit status is 0 only if all of them held.
    """
    from console.demo.run import play

    return play(LocalStack(directory), directory, keep=keep)


class LocalStack:
    """The stack under a data directory, as the demonstration wants it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def up(self) -> None:
        """Start every part; returns once all of them are ready."""
        self._call("up")

    def down(self) -> None:
        """End every part."""
        self._call("down")

    def cut(self, region: str) -> None:
        """Cut the path between a region and the gateway."""
        self._call("cut", region)

    def heal(self, region: str) -> None:
        """Open that path again."""
        self._call("heal", region)

    def _call(self, verb: str, *args: Any) -> None:
        from stack import api

        act: Callable[..., None] = getattr(api, verb)
        act(self._directory, *args)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status."""
    text = "Orbital carries governance intent to autonomous key-management regions, and proves what each did."
    group = Verbs("orbital", VERBS, stack_commands, STACK, help=text)
    group.add_command(demo)
    return run(group, args)


if __name__ == "__main__":
    sys.exit(main())
