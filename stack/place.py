"""The stack that a command is about: the option that names its data directory, and what is in there."""

from __future__ import annotations

from pathlib import Path

import click

from stack import estate, state
from stack.context import StackContext
from stack.layout import Layout
from stack.settings import load_settings

place_option = click.option(
    "--data",
    "place",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".orbital"),
    show_default=True,
    help="The stack's data directory.",
)


def site_at(place: Path) -> StackContext:
    """The context of the stack whose data are there; raises NotFound when there is none."""
    layout = Layout.of(place)
    settings, found = load_settings(), state.read(layout)
    return StackContext(layout, settings, found.ports, estate.regions_of(settings, found))
