"""YAML for people: it means what it was made of, and steers no terminal."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from console.cli.yaml_form import dump
from runtime.terminal import harmless

# YAML 1.1 has no escape for halves of surrogate pairs, and protobuf has no text with them.
TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    TEXT | st.integers() | st.booleans() | st.none(),
    lambda below: st.lists(below) | st.dictionaries(TEXT, below),
    max_leaves=10,
)


@given(VALUES)
def test_it_is_read_back_as_the_same(value: object) -> None:
    text = dump([value])
    assert harmless(text) == text
    assert yaml.safe_load(text) == value
