"""Pages: whatever may be declared can be listed, once each and in order, and no token is believed that is not ours."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from orbital.v1 import registry_pb2
from orbital.v1.edge_pb2 import Edge
from orbital.v1.resource_pb2 import Resource

from runtime.errors import Invalid
from runtime.page import MOST_BYTES, fitting, page_after, page_size, read_moment, read_token, split, write_token

WIDEST = {f"{number:063d}": "x" * 63 for number in range(32)}
KEYS = st.tuples(st.integers(-(2**62), 2**62), st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))


def _whole(items: list[Edge], size: int) -> list[list[Edge]]:
    pages, token = [], ""
    while True:
        page, token = page_after(items, lambda one: (one.region, one.name), (str, str), token, size)
        pages.append(page)
        if not token:
            return pages


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), unique=True), st.integers(1, 7))
def test_every_item_is_on_one_page(names: list[tuple[str, int]], size: int) -> None:
    items = [Edge(region=region, name=f"{number:02d}") for region, number in sorted(names)]
    pages = _whole(items, size)
    assert [one for page in pages for one in page] == items
    assert all(len(page) <= size for page in pages)


@pytest.mark.parametrize("count", [1, 899, 5_400])
def test_pages_are_bounded_in_bytes(count: int) -> None:
    items = [Resource(name=f"tenants/t{number:05d}", labels=WIDEST) for number in range(count)]
    token, found = "", []
    while True:
        page, token = page_after(items, lambda one: (one.name,), (str,), token, 5_000)
        assert registry_pb2.ListResourcesResponse(resources=page).ByteSize() < 4 * 1024 * 1024
        found += page
        if not token:
            break
    assert [one.name for one in found] == [one.name for one in items]


@given(st.lists(st.integers(0, 2_000_000), max_size=8))
def test_a_watch_is_split_into_messages_that_fit(sizes: list[int]) -> None:
    items = [Resource(name="x" * size) for size in sizes]
    pieces = list(split(items))
    assert [one for piece in pieces for one in piece] == items
    assert len(pieces) >= 1
    assert all(sum(one.ByteSize() for one in piece) <= MOST_BYTES or len(piece) == 1 for piece in pieces)


def test_one_item_is_always_taken() -> None:
    large = Resource(name="x" * (MOST_BYTES + 1))
    assert fitting([large, large]) == [large]


def test_an_item_that_went_away_does_not_hide_the_next() -> None:
    items = [Edge(region="a", name=str(number)) for number in range(6)]
    page, token = page_after(items, lambda one: (one.region, one.name), (str, str), "", 3)
    rest, _ = page_after(items[4:], lambda one: (one.region, one.name), (str, str), token, 3)
    assert [one.name for one in (*page, *rest)] == ["0", "1", "2", "4", "5"]


@given(KEYS)
def test_a_token_is_read_back(key: tuple[int, str]) -> None:
    assert read_token(write_token(*key), (int, str)) == key


ODD = st.one_of(
    st.text(),
    st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(
        lambda value: write_token(*(value if isinstance(value, list) else [str(value)]))
    ),
)


@given(ODD, st.sampled_from([(str,), (int,), (str, str), (int, int, str, str)]))
@example(write_token(2**63), (int,))
@example(write_token("\0"), (str,))
@example("A" * 100_000, (str,))
@example(base64.urlsafe_b64encode(b"[" * 1_500).decode(), (str,))
@example(base64.urlsafe_b64encode(b"9" * 1_500).decode(), (int,))
def test_whatever_else_is_no_token(token: str, kinds: tuple[type, ...]) -> None:
    try:
        read = read_token(token, kinds)
    except Invalid:
        return
    assert [type(part) for part in read] == list(kinds)
    assert all(abs(part) < 2**63 for part in read if isinstance(part, int))


@given(st.text() | st.datetimes().map(str))
def test_whatever_else_is_no_moment(text: str) -> None:
    with pytest.raises(Invalid):
        read_moment(text)


@pytest.mark.parametrize("wanted", [-1, -(2**31), 5_001, 2**32 - 1])
def test_page_sizes_are_bounded_at_both_ends(wanted: int) -> None:
    with pytest.raises(Invalid) as refused:
        page_size(wanted, 5_000)
    assert refused.value.field == "page_size"


def test_zero_is_the_most() -> None:
    assert (page_size(0, 5_000), page_size(3, 5_000)) == (5_000, 3)
