"""Did you mean: the names nearest to a mistyped one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher

from runtime.terminal import one_line

ALIKE = 0.6
# What is longer is nobody's mistyped word, and slow to compare.
LONGEST = 200


def near(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` of `known` that look like `word` or begin with it, the nearest first."""
    wanted = word.casefold()
    matcher = SequenceMatcher(b=wanted)
    found: list[tuple[float, str]] = []
    for name in dict.fromkeys(known):
        plain = name.casefold()
        matcher.set_seq1(plain)
        alike = matcher.ratio() if matcher.real_quick_ratio() >= ALIKE else 0.0
        if alike >= ALIKE or (wanted and plain.startswith(wanted)):
            found.append((-alike, name))
    return [name for _, name in sorted(found)[:count]]


def foreign(word: str) -> str:
    """` It has …` with the first character that no name has, since it may look like one that names do have."""
    found = next((each for each in word if not " " <= each <= "~"), None)
    if found is None:
        return ""
    called = unicodedata.name(found, "")
    return f" It has {one_line(found)}, which is U+{ord(found):04X}{f' {called}' if called else ''}."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` with the nearest name, or nothing."""
    found = near(word, known, 1) if len(word) <= LONGEST else []
    return f" Did you mean {found[0]}?" if found else ""
