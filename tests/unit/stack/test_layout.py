"""Data directories: one that a part's configuration cannot name is refused at once, with the reason."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import Precondition
from stack import api
from stack.layout import Layout, odd_character

ODD = "'\"#$%&*?!;:,<>|(){}[]^`~\\\n\t\x1b\x00\u202e\u2028"


@pytest.mark.parametrize("odd", [each for each in ODD if each != "\0"], ids=ascii)
def test_an_odd_name_is_refused_at_once(odd: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(Precondition) as refused:
        api.up(tmp_path / f"o{odd}brien" / "x", ["rabbitmq"])
    assert refused.value.reason == "ODD_DIRECTORY"
    assert refused.value.message.isprintable()
    assert time.monotonic() - begun < 2
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Precondition):
        api.up(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"), ["rabbitmq"])


@pytest.mark.parametrize("plain", ["sp ace", "a-b_c.d", "mail@host", "a=b", "c++", "größe", "日本"])
def test_a_plain_name_is_taken(plain: str, tmp_path: Path) -> None:
    Layout.of(tmp_path / plain).check()


@given(st.text(st.characters(exclude_characters="\0/"), min_size=1))
def test_what_is_taken_ends_no_quotation_and_begins_no_comment(name: str) -> None:
    if not odd_character(name):
        assert not set(ODD) & set(name)
        assert name.isprintable()


def test_sockets_are_elsewhere_where_the_temporary_directory_is_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp/o'brien")
    assert str(Layout.of("/data").run).startswith("/tmp/orbital-")
