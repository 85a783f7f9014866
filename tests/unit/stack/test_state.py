"""The state file."""

import orjson
import pytest

from runtime.errors import NotFound
from stack import state
from stack.layout import Layout
from stack.state import PartState, State


def test_what_is_written_is_read(tmp_path):
    layout = Layout.of(tmp_path)
    written = State(place=str(tmp_path), ports={"amqp": 20001}, parts={"rabbitmq": PartState(pid=7, started=9)})
    state.write(layout, written)
    assert state.read(layout) == written
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_the_file_calls_the_data_directory_data(tmp_path):
    layout = Layout.of(tmp_path)
    state.write(layout, State(place=str(tmp_path)))
    assert orjson.loads(layout.state.read_bytes())["data"] == str(tmp_path)


def test_fields_of_a_later_version_are_ignored(tmp_path):
    layout = Layout.of(tmp_path)
    layout.state.write_bytes(b'{"version": 1, "later": true}')
    assert state.read(layout).version == 1


def test_no_stack_says_how_to_start_one(tmp_path):
    with pytest.raises(NotFound, match="orbital up"):
        state.load(tmp_path)


def test_sockets_have_short_paths_however_deep_the_data_is(tmp_path):
    deep = Layout.of(tmp_path / ("x" * 100) / ("y" * 100))
    assert len(str(deep.run / ("n" * 36))) < 100
    assert deep.run != Layout.of(tmp_path).run
