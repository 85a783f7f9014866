"""An entry point, and how one hostile thing is sent there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.mutate import Mutator

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Door:
    """A name, and what sends one hostile thing there; it answers the name of the status that came back."""

    name: str
    send: Callable[[Mutator], str]
