"""What a person is asked before something that cannot simply be taken back."""

from __future__ import annotations

import click

from console.cli.failure import Exit, Failure

MOST = 500


def checked_reason(reason: str) -> str:
    """The reason without its margins; ends the command where it has no text, or too much."""
    text = reason.strip()
    if not 0 < len(text) <= MOST:
        raise Failure(f"--reason has {len(text)} characters; expected 1 to {MOST}.", Exit.USAGE)
    return text


def typed_again(wanted: str, purpose: str) -> None:
    """Have `wanted` typed again; ends the command where something else is."""
    typed = click.prompt(f"Type {wanted} to {purpose}", default="", show_default=False, err=True)
    if typed != wanted:
        raise Failure(f'"{typed}" is not "{wanted}". Nothing was done.')


def waits(needs_approval: bool, approval_id: str) -> None:
    """Say that a call takes two people, and how it goes on once it was asked for."""
    if approval_id:
        click.echo(f"Asked. Nothing is done before another person approves it: orbital approve {approval_id}")
    elif needs_approval:
        click.echo("It takes two people: another person has to approve it.")
