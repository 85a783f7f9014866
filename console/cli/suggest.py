"""Did you mean: the names nearest to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` of `known` that look like `word`, the nearest first."""
    choices = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), choices, n=count, cutoff=0.6)
    starting = [name for name in sorted(choices) if word and name.startswith(word.casefold()) and name not in found]
    return [choices[name] for name in (*found, *starting)][:count]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` with the nearest name, or nothing."""
    found = near(word, known, 1)
    return f" Did you mean {found[0]}?" if found else ""
