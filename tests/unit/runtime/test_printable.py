"""What an error repeats of what was sent can harm nobody: printable, bounded, in every kind of error."""

from __future__ import annotations

import base64
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MOST_FIELD, MOST_MESSAGE, MOST_REASON, STATUS, OrbitalError
from runtime.printable import printable
from runtime.rpc import MOST_SENT, to_status

# Surrogates too: they arrive in file names and from bytes that are no UTF-8.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=300)
LONG = st.builds(lambda text, times: text * times, ANYTHING, st.integers(1, 400))
LEAST_THAT_A_PEER_TAKES = 8192


@given(LONG, st.integers(0, 3000))
def test_text_is_printable_and_bounded(text: str, most: int) -> None:
    shown = printable(text, most)
    assert len(shown.encode()) <= most
    assert all(character.isprintable() or character == "\n" for character in shown)


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=300))
def test_what_is_printable_and_short_stays(text: str) -> None:
    assert printable(text, 4 * 300) == text


def test_what_was_cut_says_so() -> None:
    assert printable("é" * 100, 11) == "éééé…"
    assert printable("a\x1b[31m\x00\u202e", 100) == r"a\x1b[31m\x00\u202e"


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
@given(message=LONG, reason=LONG, field=LONG)
def test_no_error_is_larger_on_the_wire_than_a_peer_takes(
    kind: type[OrbitalError], message: str, reason: str, field: str
) -> None:
    error = kind(message, reason=reason, field=field)
    assert len(error.message.encode()) <= MOST_MESSAGE
    assert str(error) == error.message
    assert (len(error.reason.encode()) <= MOST_REASON, len(error.field.encode()) <= MOST_FIELD) == (True, True)
    status = to_status(error)
    assert len(status.message.encode()) <= MOST_SENT
    trailers = urllib.parse.quote(status.message) + base64.b64encode(status.SerializeToString()).decode()
    assert len(trailers) < LEAST_THAT_A_PEER_TAKES


def test_a_narrower_kind_has_the_status_of_its_parent() -> None:
    class Narrower(OrbitalError):
        """One of an adapter's own."""

    assert to_status(Narrower("Something else")).code == STATUS[OrbitalError].value[0]
