"""The frame of the command line: commands loaded when needed, names corrected, every end an exit status."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import click

from console.cli.failure import Exit, Failure, to_failure
from console.cli.suggest import did_you_mean, foreign
from runtime.terminal import Guarded, ReaderGone, Unwritable, give_up_output

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
            hint = (
                foreign(args[0]) or did_you_mean(args[0], self.list_commands(ctx)) or f" See: {ctx.command_path} --help"
            )
            raise Failure(f'Unknown command "{args[0]}".{hint}', Exit.USAGE)
        return super().resolve_command(ctx, args)


def run(group: click.Command, args: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status, after saying on stderr what went wrong. Nothing else ends it."""
    try:
        with Guarded():
            status = _ended(group, args)
            sys.stdout.flush()
            sys.stderr.flush()
    except ReaderGone:
        status = Exit.DONE
    except Unwritable as error:
        status = Exit.FAILED
        _last_words(str(error))
    give_up_output()
    return status


def _last_words(sentence: str) -> None:
    """On stderr, which may be what cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(sentence, err=True)


def _ended(group: click.Command, args: Sequence[str] | None) -> int:
    """The exit status of a command, whatever it raised."""
    try:
        outcome = group.main(args=None if args is None else list(args), prog_name="orbital", standalone_mode=False)
    except Failure as failure:
        failure.show()
        return failure.status
    except click.ClickException as error:
        error.show()
        return Exit.USAGE if isinstance(error, click.UsageError) else int(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except (ReaderGone, Unwritable):
        raise
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.FAILED
    except Exception as error:  # noqa: BLE001 - the one place where an unexpected error becomes a sentence
        told = _told(error, sys.argv[1:] if args is None else args)
        told.show()
        return told.status
    return outcome if isinstance(outcome, int) else Exit.DONE


def _told(error: Exception, args: Sequence[str]) -> Failure:
    """The sentence that stands for an error that no command expected."""
    from runtime.errors import OrbitalError

    if isinstance(error, OrbitalError):
        return to_failure(error)
    if os.environ.get("ORBITAL_CLI_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, UnicodeError):
        odd = next((f'The argument "{each}"' for each in args if not _is_text(each)), "Something that was read")
        return Failure(f"{odd} is not text in UTF-8.", Exit.USAGE)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return Failure(f"{place}{error.strerror or error}.")
    if isinstance(error, ImportError | SyntaxError):
        return Failure(f"A part of this program cannot be loaded: {error}. Reinstall it, or see PYTHONPATH.")
    last = traceback.extract_tb(error.__traceback__)[-1:]
    if isinstance(error, RuntimeError | ValueError) and last and last[0].filename == pathlib.__file__:
        # No home directory, a symbolic link that leads to itself, or a name that no file can have.
        return Failure(f"A file or directory cannot be had: {error}.")
    place = f" at {last[0].filename}:{last[0].lineno}" if last else ""
    return Failure(
        f"A defect of this program: {type(error).__name__}{place}: {error}. ORBITAL_CLI_TRACEBACK=1 shows the whole."
    )


def _is_text(argument: str) -> bool:
    """Whether it came as UTF-8: Python keeps other bytes as halves of surrogate pairs."""
    return not any("\ud800" <= each <= "\udfff" for each in argument)
