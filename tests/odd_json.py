"""What another party may send in place of each part of a JSON document."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 1.5, 1e308),
    *("", "\0", "\x1b]0;x\x07", "\u202e", "9" * 400, "x" * 70_000, "٣", "1e5", "-5"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "2026-13-01"),
    *([], [None], [[]], [{}], ["a", 1], {}, {"": None}, {"a": {"b": []}}),
)
# One of each kind.
FEW: tuple[Any, ...] = (None, True, 2**64 - 1, 1e308, "", "\0", "\x1b]0;x\x07", [], {}, {"a": {"b": []}})
Way = tuple[str | int, ...]


def ways(document: Any, so_far: Way = ()) -> Iterator[Way]:
    """The way to every part of it, the document itself first."""
    yield so_far
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, part in parts:
        yield from ways(part, (*so_far, name))


def replaced(document: Any, way: Way, part: Any) -> Any:
    """A copy of it with another part at the end of the way."""
    if not way:
        return part
    found = copy.deepcopy(document)
    place = found
    for name in way[:-1]:
        place = place[name]
    place[way[-1]] = part
    return found


def odd_ones(document: Any, odd: Sequence[Any] = ODD) -> Iterator[Any]:
    """The document with each of its parts replaced in turn by each odd one, and left out."""
    for way in ways(document):
        for part in odd:
            yield replaced(document, way, part)
        if way and isinstance(way[-1], str):
            found = copy.deepcopy(document)
            place = found
            for name in way[:-1]:
                place = place[name]
            del place[way[-1]]
            yield found
