"""Text from outside as it may go on: nothing that a terminal or a protocol acts on, and never more than a bound."""

from __future__ import annotations

CUT = "…"
_KEPT = "\n"


def printable(text: str, most: int) -> str:
    """`text` with everything that cannot be printed escaped, cut to at most `most` bytes of UTF-8.

    A new line stays what it is. What was cut ends in an ellipsis.
    """
    # Each character is at least one byte, so what lies beyond could not stay anyway.
    shown = "".join(character if _is_kept(character) else _escaped(character) for character in text[: most + 1])
    packed = shown.encode()
    if len(packed) <= most:
        return shown
    room = max(0, most - len(CUT.encode()))
    return packed[:room].decode(errors="ignore") + CUT if most >= len(CUT.encode()) else ""


def _is_kept(character: str) -> bool:
    return character.isprintable() or character in _KEPT


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
