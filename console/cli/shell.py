"""The frame of the command line: commands loaded when needed, names corrected, every end an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from console.cli.failure import Exit, Failure, to_failure
from console.cli.suggest import did_you_mean

if TYPE_CHECKING:
    from runtime.errors import OrbitalError


LINE = 90


class Verbs(click.Group):
    """A group whose commands live in modules that are imported when they are asked for.

    `lazy` maps a verb to `module:attribute`. A second group of verbs, `late`, is one call that gives them all;
    `late_help` names them with the line that the help shows.
    """

    def __init__(
        self,
        name: str,
        lazy: Mapping[str, str],
        late: Callable[[], Sequence[click.Command]] = tuple,
        late_help: Mapping[str, str] | None = None,
        help: str | None = None,  # noqa: A002 - Click's own word
    ) -> None:
        super().__init__(name, help=help, context_settings={"help_option_names": ["-h", "--help"]})
        self._lazy, self._late, self._late_help = lazy, late, late_help or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """See click.Group; in the order of writing."""
        return [*self._lazy, *self._late_help, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click.Group."""
        if cmd_name in self._lazy:
            module, _, attribute = self._lazy[cmd_name].partition(":")
            command = getattr(import_module(module), attribute)
            if not isinstance(command, click.Command):
                raise TypeError(f"{self._lazy[cmd_name]} is no command")
            return command
        if cmd_name in self._late_help:
            return next((command for command in self._late() if command.name == cmd_name), None)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click.Group."""
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in self._late_help else self.get_command(ctx, name)
            rows.append((name, command.get_short_help_str(LINE) if command else self._late_help[name]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click.Group; an unknown verb gets the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            hint = did_you_mean(args[0], self.list_commands(ctx)) or f" See: {ctx.command_path} --help"
            raise Failure(f'Unknown command "{args[0]}".{hint}', Exit.USAGE)
        return super().resolve_command(ctx, args)


def run(group: click.Command, args: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status, after saying on stderr what went wrong."""
    try:
        outcome = group.main(args=None if args is None else list(args), prog_name="orbital", standalone_mode=False)
        sys.stdout.flush()
    except Failure as failure:
        failure.show()
        return failure.status
    except click.ClickException as error:
        error.show()
        return Exit.USAGE if isinstance(error, click.UsageError) else int(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, `orbital get tasks | head` for instance; Python's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except _orbital_error() as error:
        told = to_failure(error)
        told.show()
        return told.status
    return outcome if isinstance(outcome, int) else Exit.DONE


def _orbital_error() -> type[OrbitalError]:
    """OrbitalError, imported only when something was raised: it brings grpc."""
    from runtime.errors import OrbitalError

    return OrbitalError
