"""`orbital authority`: the root of trust of a running stack is rotated, and it is told how far that is."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from runtime.errors import Precondition
from stack.identity.roots import Phase
from stack.place import place_option, site_at
from stack.rotation import Rotation, RotationStatus

LOOK_SECONDS = 1.0
DONE = {
    Phase.SETTLED: "The new root alone is believed",
    Phase.TRUSTING: "The new root is believed beside the old one",
    Phase.REISSUING: "The new root issues; every certificate was renewed",
}


@click.group()
def authority() -> None:
    """Rotate the root of trust, and see how far that is."""


@authority.command()
@click.option("--wait", is_flag=True, help="Go through all phases to the end.")
@click.option("--seconds", type=float, default=120.0, show_default=True, help="How long --wait waits in one phase.")
@place_option
def rotate(*, wait: bool, seconds: float, place: Path) -> None:
    """Go one phase further: believe a new root too, then issue by it, then believe it alone.

    A phase that somebody is behind in is not left: who that is, and why, is said.
    """
    rotation = Rotation(site_at(place))
    phase = _advanced(rotation, seconds if wait else 0.0)
    while wait and phase is not Phase.SETTLED:
        phase = _advanced(rotation, seconds)


def _advanced(rotation: Rotation, seconds: float) -> Phase:
    deadline = time.monotonic() + seconds
    while True:
        try:
            phase = rotation.advance()
        except Precondition:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            click.echo(DONE[phase])
            return phase


@authority.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@place_option
def status(place: Path, output: str) -> None:
    """Show the phase, the roots that are believed, and who is behind. Exit status 8 when somebody is."""
    found = Rotation(site_at(place)).status()
    if output == "json":
        shown = {"phase": found.phase.value, "trusted": found.trusted, "behind": found.behind}
        click.echo(json.dumps(shown, indent=2))
    else:
        _say(found)
    click.get_current_context().exit(8 if found.behind else 0)


def _say(found: RotationStatus) -> None:
    click.echo(f"Phase: {found.phase.value}")
    click.echo(f"Believed: {', '.join(found.trusted)}")
    for name, why in sorted(found.behind.items()):
        click.echo(f"  {name} {why}")
