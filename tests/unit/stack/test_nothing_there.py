"""No claim of success is made of what is not there."""

from __future__ import annotations

import time

import pytest
from orbital.v1.policy_pb2 import Engine, ListEnginesResponse

from console.cli.doctor import tell
from console.cli.judged import silent
from stack.commands import is_ready
from stack.policy import in_force
from stack.state import State


def engine(name: str, revision: str, heard: float) -> Engine:
    made = Engine(name=name, revision=revision)
    made.heard_time.seconds = int(heard)
    return made


@pytest.mark.parametrize("here", [[], ["r2"], ["r1"], ["r1", "r2"], ["r2", "r2"]], ids=" ".join)
@pytest.mark.parametrize("gone", [[], ["r1"], ["r2"]], ids=" ".join)
def test_a_policy_is_in_force_only_where_an_engine_has_it(here: list[str], gone: list[str]) -> None:
    now = time.time()
    engines = [engine(f"here-{number}", revision, now) for number, revision in enumerate(here)]
    engines += [engine(f"gone-{number}", revision, now - 600) for number, revision in enumerate(gone)]
    if here:
        assert in_force(ListEnginesResponse(engines=engines), "r2") == (here in (["r2"], ["r2", "r2"]))
        assert silent(engines) == {f"gone-{number}" for number in range(len(gone))}
    assert not in_force(ListEnginesResponse(engines=engines), "")


def test_a_stack_of_no_part_and_a_look_at_nothing_have_something_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert not tell([], "table")
    assert "Nothing has to be done" not in capsys.readouterr().err


def test_a_stack_without_a_part_is_not_ready() -> None:
    assert not is_ready(State.model_construct(supervisor=1, parts={}))
