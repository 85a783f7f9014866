"""The composition of the command line: the one module of the console that knows the local stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from console.cli.failure import Exit, Failure
from console.cli.options import Target, connection_options, output_option
from console.cli.shell import Verbs, run

COMMANDS = "console.cli.commands"
VERBS = {
    "apply": f"{COMMANDS}.apply:apply",
    "diff": f"{COMMANDS}.apply:diff",
    "declared": f"{COMMANDS}.declared:declared",
    "get": f"{COMMANDS}.get:get",
    "describe": f"{COMMANDS}.get:describe",
    "wait": f"{COMMANDS}.wait:wait",
    "kill": f"{COMMANDS}.kill:kill",
    "restore": f"{COMMANDS}.approval:restore",
    "approve": f"{COMMANDS}.approval:approve",
    "decline": f"{COMMANDS}.approval:decline",
    "retire": f"{COMMANDS}.retire:retire",
    "retry": f"{COMMANDS}.parked:retry",
    "cancel": f"{COMMANDS}.parked:cancel",
    "proof": f"{COMMANDS}.proof:proof",
    "decisions": f"{COMMANDS}.decisions:decisions",
    "region": f"{COMMANDS}.region:region",
    "audit": f"{COMMANDS}.audit:audit",
    "trace": f"{COMMANDS}.trace:trace",
    "login": f"{COMMANDS}.login:login",
    "logout": f"{COMMANDS}.login:logout",
    "whoami": f"{COMMANDS}.login:whoami",
    "wrap": f"{COMMANDS}.crypto:wrap",
    "unwrap": f"{COMMANDS}.crypto:unwrap",
    "bench": f"{COMMANDS}.bench:bench",
    "check": "console.cli.develop:check",
    "test": "console.cli.develop:test",
}
# What --help says of the stack's commands without importing them, which takes longer than the rest of it.
STACK = {
    "up": "Start the stack and wait until all of it is ready.",
    "open": "Say where the console is, and who may log in; on a desktop, open it.",
    "down": "End exactly what `up` started.",
    "status": "Show what runs.",
    "cut": "Cut the ways of REGION to the global side, or one of them.",
    "authority": "Rotate the root of trust, and see how far that is.",
    "policy": "Test, explain and push policies, and see which engine runs which.",
    "heal": "Open the ways of REGION to the global side again, or one of them.",
    "seal": "Seal the OpenBao of REGION.",
    "unseal": "Open the OpenBao of REGION again.",
}


def stack_commands() -> Sequence[click.Command]:
    """The commands of the local stack."""
    from stack.commands import COMMANDS as commands  # noqa: N811 - a list, not a constant of this module

    return commands


@click.command()
@click.option("--keep", is_flag=True, help="Leave the stack running at the end.")
@click.option(
    "--data", "directory", type=click.Path(path_type=Path), default=Path(".orbital/demo"), show_default=True,
    help="Where the stack keeps its files; made anew for each demonstration.",
)  # fmt: skip
@click.option("--regions", type=click.IntRange(2, 3), default=3, show_default=True, help="3: one for each transport.")
def demo(keep: bool, directory: Path, regions: int) -> int:
    """Start a stack and watch an estate carried to its regions, one of them cut off and healed, tenants killed.

    Every step is checked; the exit status is 0 only if all of them held.
    """
    from console.demo.run import play

    return play(LocalStack(directory, regions), directory, keep=keep, regions=regions)


@click.command()
@output_option("table", "json", "yaml")
@connection_options
def doctor(output: str, target: Target) -> int:
    """Say what is wrong with this machine, the stack or its regions, and what to do; exit status 1 if anything is."""
    from console.cli.connection import connect
    from console.cli.doctor import Finding, fleet, tell, unreachable
    from runtime.errors import OrbitalError
    from stack.doctor import examine

    findings: list[Finding] = list(examine(target.directory))
    if target.gateway or any(one.subject == "stack" and not one.advice and one.said != "none" for one in findings):
        try:
            with connect(target) as connection:
                findings += fleet(connection)
        except (OrbitalError, Failure) as error:
            findings.append(unreachable(error.message))
    return Exit.DONE if tell(findings, output) else Exit.FAILED


class LocalStack:
    """The stack under a data directory, as the demonstration wants it."""

    def __init__(self, directory: Path, regions: int) -> None:
        self._directory = directory
        # As if it were set: the stack's own processes read it from their environment.
        os.environ["ORBITAL_STACK__REGIONS"] = str(regions)

    def clear(self) -> None:
        """End what runs there and remove its files; refuses a directory that holds something else."""
        from stack import api

        if not self._directory.exists():
            return
        if not (self._directory / "state.json").exists() and any(self._directory.iterdir()):
            raise Failure(f"{self._directory} holds something else than a stack; name another with --data.")
        api.remove(self._directory)

    def up(self) -> None:
        """Start every part; returns once all of them are ready."""
        from stack import api
        from stack.commands import Progress

        api.up(self._directory, progress=Progress())

    def down(self) -> None:
        """End every part."""
        from stack import api

        api.down(self._directory)

    def cut(self, region: str) -> None:
        """Cut the path between a region and the gateway."""
        from stack import api

        api.cut(self._directory, region)

    def heal(self, region: str) -> None:
        """Open that path again."""
        from stack import api

        api.heal(self._directory, region)

    def seal(self, region: str) -> str:
        """Seal a region's OpenBao; returns the action's correlation ID."""
        from stack import sealing

        return sealing.seal(self._directory, region)

    def unseal(self, region: str) -> None:
        """Open it again."""
        from stack import sealing

        sealing.unseal(self._directory, region)

    def allow_l1(self, allowed: bool) -> None:
        """As the customer: let the regions use the L1 in its own KMS, or no longer."""
        from stack import api

        api.allow_l1(self._directory, allowed=allowed)

    def workload(self, service: str) -> tuple[bytes, bytes]:
        """The key and the certificates (PEM) of a workload, TENANT/SYSTEM/SERVICE."""
        from stack import api

        return api.workload(self._directory, service)


def _version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("orbital")
    except PackageNotFoundError:
        import tomllib

        # A checkout is not installed.
        from runtime.files import read_text

        text = read_text(Path(__file__).resolve().parents[2] / "pyproject.toml")
        number = str(tomllib.loads(text)["project"]["version"])
    click.echo(f"orbital {number}, Python {'.'.join(map(str, sys.version_info[:3]))}")
    context.exit()


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status."""
    text = "Orbital carries governance intent to autonomous key-management regions, and proves what each did."
    group = Verbs("orbital", VERBS, stack_commands, STACK, help=text)
    told = partial(click.Option, ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version)
    group.params.append(told(help="Show the version."))
    group.add_command(demo)
    group.add_command(doctor)
    return run(group, args)


if __name__ == "__main__":
    sys.exit(main())
