"""Which unit needs which."""

import pytest

from runtime.errors import Invalid
from stack import estate, order
from stack.context import StackContext
from stack.layout import Layout
from stack.settings import Stack
from stack.state import RegionState, State

NEEDS = {"a": (), "b": ("a",), "c": ("b",), "d": ()}


def test_closure_takes_all_that_is_needed_in_the_given_order():
    assert order.closure(["c"], NEEDS) == ["a", "b", "c"]


def test_closure_names_an_unknown_part():
    with pytest.raises(Invalid, match='"rabbit"'):
        order.closure(["rabbit"], NEEDS)


def rounds(needs):
    """What may end at once, round by round."""
    waiting = order.ending(needs)
    while waiting.is_active():
        names = waiting.get_ready()
        yield sorted(names)
        waiting.done(*names)


def test_each_ends_after_all_that_need_it():
    assert list(rounds(NEEDS)) == [["c", "d"], ["b"], ["a"]]


def test_a_circle_is_refused():
    with pytest.raises(Invalid, match="circle"):
        order.ending({"a": ("b",), "b": ("a",)})


def test_the_whole_estate_has_an_order_and_no_dangling_needs(tmp_path):
    context = StackContext(
        Layout.of(tmp_path), Stack(), dict.fromkeys(estate.port_names(estate.REGIONS), 0), estate.REGIONS
    )
    units = estate.units(context)
    names = {unit.name for unit in units}
    needs = estate.needs(units)
    assert len(names) == len(units)
    assert all(set(wanted) <= names for wanted in needs.values())
    assert len(list(rounds({unit.name: unit.requires for unit in units}))) > 3


def test_only_some_parts(tmp_path):
    context = StackContext(
        Layout.of(tmp_path), Stack(), dict.fromkeys(estate.port_names(estate.REGIONS), 0), estate.REGIONS
    )
    chosen = {unit.name for unit in estate.units(context, ["openbao-eu10", "rabbitmq"])}
    assert chosen == {"authority", "softhsm-eu10", "openbao-eu10", "epmd", "rabbitmq"}


def test_a_stack_keeps_the_regions_that_it_had() -> None:
    three = State(regions={name: RegionState(auth="mtls") for name in ("eu10", "us20", "ap30")})
    assert estate.regions_of(Stack(), State()) == estate.REGIONS
    assert estate.regions_of(Stack(regions=3), State()) == estate.EVERY
    assert estate.regions_of(Stack(), three) == estate.EVERY
    assert estate.regions_of(Stack(regions=2), three) == estate.REGIONS
