"""The text of declarations: what cannot be seen is refused by its line, and what looks alike is named."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.declaration.load import read_documents
from console.cli.declaration.problem import Problems
from console.cli.declaration.tree import MAX_DOCUMENTS
from runtime.keystates import MOST_VERSIONS
from tests.unit.console.test_declaration import EDGE_POLICY, LINK, SERVICE, TENANT, mistakes

EVERY = (TENANT, SERVICE, LINK, EDGE_POLICY)
CONTROL = [chr(number) for number in range(0x110000) if unicodedata.category(chr(number)) == "Cc"]
WORDS = ("Tenant", "acme", "tier", "gold", "Acme", "eu10", "24h", "displayName", "orbital/v1", "metadata", "regions")


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}"


@pytest.mark.parametrize("character", CONTROL, ids=ascii)
def test_a_control_character_by_an_escape_is_refused_wherever_it_stands(character: str) -> None:
    for word in WORDS:
        written = TENANT.replace(word, f'"{word[0]}{_escaped(character)}{word[1:]}"', 1)
        line = next(number for number, text in enumerate(written.splitlines(), 1) if _escaped(character) in text)
        found = mistakes(written)
        assert [each for each in found if each.startswith(f"f.yaml:{line}")], (word, found)
        assert not [each for each in "".join(found) if unicodedata.category(each) == "Cc"]


@pytest.mark.parametrize("position", range(1, 5))
def test_a_mark_at_the_beginning_of_any_file_of_several_is_skipped(position: int) -> None:
    documents = [f"---\n{text}" for text in EVERY]
    documents[position - 1] = "\ufeff" + documents[position - 1]
    assert mistakes("".join(documents)) == []


@given(st.characters(categories=("Ll", "Lu", "Lo"), min_codepoint=0x80), st.sampled_from(["acme", "eu10"]))
def test_a_letter_that_looks_like_another_is_named_by_its_code_point(letter: str, word: str) -> None:
    found = mistakes(TENANT.replace(word, word[0] + letter + word[2:], 1))
    assert len(found) == 1
    assert f"U+{ord(letter):04X}" in found[0]


@pytest.mark.parametrize("word", ["Tenant", "kind", "orbital/v1", "displayName", "placement"])
def test_the_same_in_words_of_the_language(word: str) -> None:
    odd = word[:-2] + "\N{CYRILLIC SMALL LETTER A}" + word[-1]
    assert any("U+0430 CYRILLIC SMALL LETTER A" in each for each in mistakes(TENANT.replace(word, odd, 1)))


def test_a_merge_is_told_to_be_none() -> None:
    (found,) = mistakes(TENANT.replace("placement:\n    regions:", "placement:\n    <<: {}\n    regions:"))
    assert "placement.<<: is no merge here" in found


@pytest.mark.parametrize("version", [0, -1, MOST_VERSIONS + 1, 5000, 200_000, 10**30])
def test_the_bound_of_a_version_is_one(version: int) -> None:
    (found,) = mistakes(SERVICE.replace("keyVersion: 3", f"keyVersion: {version}"))
    assert f"expected a whole number from 1 to {MOST_VERSIONS:,}" in found


@pytest.mark.parametrize(
    "text",
    [
        "---\n" * 60_000,
        "--- {}\n" * 60_000,
        f"---\n{TENANT}" * 60_000,
        "---\na: 1\n...\n" * 60_000,
        "---\nkind: X\n" * 9_000,
        "--- &a [*a]\n" * 30_000,
        "{" + ",".join(f"k{number}: 1" for number in range(40_000)) + "}",
        f"{{{'x' * 400_000}: 1}}",
        "[" * 200_000,
        f"apiVersion: orbital/v1\nkind: Tenant\nmetadata: {{name: {'a' * 400_000}}}\nspec: {{}}",
        TENANT.replace("[eu10, us20]", "[" + ",".join(f"r{number}" for number in range(50_000)) + "]"),
        TENANT.replace("{tier: gold}", "{" + ",".join(f"l{number}: x" for number in range(50_000)) + "}"),
        EDGE_POLICY + "  - {name: none, effect: deny, tenants: [globex]}\n" * 8_000,
    ],
    ids=range(13),
)
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    begun = time.process_time()
    read_documents(text.encode(), Problems("f.yaml"))
    assert time.process_time() - begun < 2.0


def test_the_number_of_documents_is_bounded() -> None:
    for separator in ("---\n", "--- {}\n", "---\na: 1\n...\n"):
        assert f"more than {MAX_DOCUMENTS:,} documents" in mistakes(separator * (MAX_DOCUMENTS + 5))[-1]
