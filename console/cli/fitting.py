"""A table on a terminal: columns as wide as they may be, words whole, and what does not fit is named."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2


def fit(lines: Sequence[Sequence[str]], space: int) -> list[int]:
    """The width of each column that fits into `space`, from the left; `lines` begin with the headings.

    A cell is broken between words alone. Of several columns the last ones give way; the first one always stays.
    """
    columns = list(zip(*lines, strict=True))
    least = [max(_longest_word(cell) for cell in column) for column in columns]
    count = len(columns)
    while count > 1 and _total(least[:count]) > space:
        count -= 1
    widths = [max(map(cells, column)) for column in columns[:count]]
    while _total(widths) > space:
        # The one that can give most does.
        spare, widest = max((width - least[at], at) for at, width in enumerate(widths))
        if spare <= 0:
            # One word is wider than the terminal.
            return [max(1, space)]
        over = _total(widths) - space
        second = max((width - least[at] for at, width in enumerate(widths) if at != widest), default=0)
        widths[widest] -= max(1, min(over, spare - second))
    return widths


def cells(text: str) -> int:
    """How many places a text takes on a terminal: some letters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _longest_word(text: str) -> int:
    return max(map(cells, text.split()), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
