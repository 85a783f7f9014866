"""Text for a terminal: nothing that others wrote steers it, and nothing that is written fails."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.terminal import Output, ReaderGone, Unwritable, harmless, json_safe, one_line, trusted

ANY = st.text(st.characters(exclude_categories=()))
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _steers(character: str, kept: str) -> bool:
    # Joiners are letters' own in several scripts; they move nothing on a line.
    joiners = "\u200c\u200d"
    return unicodedata.category(character) in STEERING - {"Cf"} and character not in kept and character not in joiners


@given(ANY)
def test_no_control_character_is_left(text: str) -> None:
    assert not [each for each in harmless(text) if _steers(each, "\t\n")]
    assert not [each for each in one_line(text) if _steers(each, "")]


@pytest.mark.parametrize("mark", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff\u200b")
def test_no_mark_of_direction_is_left(mark: str) -> None:
    assert mark not in harmless(f"abc{mark}def")


def test_ordinary_text_of_any_script_is_left_as_it_is() -> None:
    text = "Größe, naïve, 日本語, العربية, हिन्दी, 🙂, a\tb\nc"
    assert harmless(text) == text


@given(st.dictionaries(ANY, ANY))
def test_json_means_the_same(value: dict[str, str]) -> None:
    shown = json_safe(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == json.loads(json.dumps(value))
    assert not [each for each in shown if _steers(each, "\n")]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
@given(text=ANY)
def test_writing_never_fails(encoding: str, text: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    shown = Output(out)
    shown.write(text)
    shown.flush()
    trusted(shown).write(text)  # type: ignore[arg-type]  # it is a stream by what it answers to
    trusted(shown).flush()  # type: ignore[arg-type]


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"), [(BrokenPipeError(32, "Broken pipe"), ReaderGone), (OSError(28, "No space left"), Unwritable)]
)
def test_a_reader_that_has_gone_is_no_failure(error: OSError, told: type[Exception]) -> None:
    for stream in (Output(Broken(error)), Output(Broken(error)).trusted):
        with pytest.raises(told):
            stream.write("x")
        with pytest.raises(told):
            stream.flush()
