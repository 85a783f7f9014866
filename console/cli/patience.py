"""Following something over a time in which the gateway may be away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from console.cli.failure import Exit, Failure
from console.cli.render import say
from runtime.errors import Unavailable

Answer = TypeVar("Answer")
PAUSE = 1.0


def asked_again(ask: Callable[[], Answer]) -> Answer:
    """The answer, once there is one: a gateway that is away is asked again, and that is said once."""
    told = False
    while True:
        try:
            return ask()
        except (Unavailable, Failure) as error:
            if isinstance(error, Failure) and error.status != Exit.UNAVAILABLE:
                raise
            if not told:
                say(f"{error.message.rstrip('.')}. It is asked again until it answers.")
            told = True
            time.sleep(PAUSE)
