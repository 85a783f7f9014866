"""What was undone because two changes waited for each other is done again: nobody asked for it to fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from gateway.ports.store import CONTENDED
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

ATTEMPTS = 5

_P = ParamSpec("_P")
_R = TypeVar("_R")


def whole(change: Callable[_P, Coroutine[Any, Any, _R]]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """A change that is one transaction, done again, at most ATTEMPTS times, when the store undid all of it."""

    @functools.wraps(change)
    async def again(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for _ in range(ATTEMPTS - 1):
            try:
                return await change(*args, **kwargs)
            except Unavailable as error:
                if error.reason != CONTENDED:
                    raise
                log.info("contended", change=change.__name__)
        return await change(*args, **kwargs)

    return again
