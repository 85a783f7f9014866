"""One error out of an exception group.

An exception that is raised in an `except*` block arrives inside another group up to Python 3.11.3, and by itself from
3.11.4 on: raise nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import Denied, OrbitalError


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors of a group and of the groups in it."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise one error in place of a group of OrbitalErrors, a refusal before any other. Other groups stay."""
    chosen: OrbitalError | None = None
    try:
        yield
    except BaseExceptionGroup as group:
        found = leaves(group)
        known = [error for error in found if isinstance(error, OrbitalError)]
        if len(known) < len(found):
            raise
        chosen = next((error for error in known if isinstance(error, Denied)), known[0])
    if chosen is not None:
        raise chosen from None
