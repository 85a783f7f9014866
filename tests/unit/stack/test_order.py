"""Which unit needs which."""

import pytest

from runtime.errors import Invalid
from stack import estate, order
from stack.layout import Layout
from stack.settings import Stack
from stack.site import Site

NEEDS = {"a": (), "b": ("a",), "c": ("b",), "d": ()}


def test_closure_takes_all_that_is_needed_in_the_given_order():
    assert order.closure(["c"], NEEDS) == ["a", "b", "c"]


def test_closure_names_an_unknown_part():
    with pytest.raises(Invalid, match='"rabbit"'):
        order.closure(["rabbit"], NEEDS)


def test_layers_come_after_what_they_need():
    assert order.layers(NEEDS) == [["a", "d"], ["b"], ["c"]]


def test_a_circle_is_refused():
    with pytest.raises(Invalid, match="circle"):
        order.layers({"a": ("b",), "b": ("a",)})


def test_the_whole_estate_has_an_order_and_no_dangling_needs(tmp_path):
    site = Site(Layout.of(tmp_path), Stack(), dict.fromkeys(estate.port_names(estate.REGIONS), 0), estate.REGIONS)
    units = estate.units(site)
    names = {unit.name for unit in units}
    needs = estate.needs(units)
    assert len(names) == len(units)
    assert all(set(wanted) <= names for wanted in needs.values())
    assert len(order.layers({unit.name: unit.requires for unit in units})) > 3


def test_only_some_parts(tmp_path):
    site = Site(Layout.of(tmp_path), Stack(), dict.fromkeys(estate.port_names(estate.REGIONS), 0), estate.REGIONS)
    chosen = {unit.name for unit in estate.units(site, ["openbao-eu10", "rabbitmq"])}
    assert chosen == {"authority", "softhsm-eu10", "openbao-eu10", "epmd", "rabbitmq"}
