"""Free ports, and the same ones again."""

import socket

import pytest

from runtime.errors import Exhausted
from stack import ports


def test_every_name_has_a_port_of_its_own():
    chosen = ports.choose(["a", "b", "c"], {})
    assert len(set(chosen.values())) == 3
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in chosen.values())


def test_a_port_that_is_still_free_is_kept():
    before = ports.choose(["a"], {})
    assert ports.choose(["a"], before) == before


def test_a_port_that_somebody_took_is_not_kept():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert not ports.is_free(number)
        assert ports.choose(["a"], {"a": number})["a"] != number


def test_two_names_with_one_remembered_port_differ():
    port = ports.choose(["a"], {})["a"]
    chosen = ports.choose(["a", "b"], {"a": port, "b": port})
    assert chosen["a"] != chosen["b"]


def test_nothing_left_is_an_error():
    with pytest.raises(Exhausted):
        ports.choose(["a"], {}, tries=0)
