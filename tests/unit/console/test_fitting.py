"""Tables on narrow terminals: words stay whole, and what has no room is named."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.fitting import GAP, cells, fit
from console.cli.nouns import NOUNS
from console.cli.render import table

WORD = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=25)
CELL = st.lists(WORD, max_size=6).map(" ".join)
TABLES = st.integers(1, 8).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1))


@given(TABLES, st.integers(10, 200))
def test_what_is_shown_fits_and_its_words_are_whole(lines: list[list[str]], space: int) -> None:
    widths = fit(lines, space)
    assert 1 <= len(widths) <= len(lines[0])
    assert sum(widths) + GAP * (len(widths) - 1) <= space
    for at, width in enumerate(widths):
        for line in lines:
            for word in line[at].split():
                assert cells(word) <= width or len(widths) == 1


@given(TABLES)
def test_where_there_is_room_nothing_gives_way(lines: list[list[str]]) -> None:
    widths = fit(lines, 10_000)
    assert widths == [max(map(cells, column)) for column in zip(*lines, strict=True)]


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.name)
def test_every_list_on_a_narrow_terminal(
    noun: Any, width: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    columns = [column for column in noun.columns if not (column.wide or column.rare)]
    row = {column.field: None if column.form in {"age", "lag"} else "healthy-eu10 out_of_sync" for column in columns}
    row = {field: [0, 0, 0] if field == "waiting" else value for field, value in row.items()}
    table([row], columns)
    shown = capfd.readouterr()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.out)
    assert max(map(len, plain.splitlines())) <= width
    words = (
        {"healthy-eu10", "out_of_sync", "-", "never", "0/0/0"}
        | {word for column in columns for word in column.title.split()}
        | {cell[:12] for cell in words_of_ids()}
    )
    assert [word for word in plain.split() if word not in words] == []
    assert ("No room here" in shown.err) == (columns[-1].title.split()[0] not in plain.split())


def words_of_ids() -> list[str]:
    """An ID and a time are cut on purpose."""
    text = "healthy-eu10 out_of_sync"
    return [text[:12], *text[11:23].split()]
