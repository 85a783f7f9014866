"""No claim of success is made of what is not there."""

from __future__ import annotations

import time

import pytest
from orbital.v1.policy_pb2 import Engine, ListEnginesResponse

from stack.commands import is_ready
from stack.policy import in_force
from stack.state import State


def engine(revision: str, heard: float) -> Engine:
    made = Engine(name="opa", revision=revision)
    made.heard_time.seconds = int(heard)
    return made


@pytest.mark.parametrize("here", [[], ["r2"], ["r1"], ["r1", "r2"], ["r2", "r2"]], ids=" ".join)
@pytest.mark.parametrize("gone", [[], ["r1"], ["r2"]], ids=" ".join)
def test_a_policy_is_in_force_only_where_an_engine_has_it(here: list[str], gone: list[str]) -> None:
    engines = [engine(revision, time.time()) for revision in here] + [engine(revision, 1.0) for revision in gone]
    assert in_force(ListEnginesResponse(engines=engines), "r2") == (here in (["r2"], ["r2", "r2"]))


def test_a_stack_without_a_part_is_not_ready() -> None:
    assert not is_ready(State.model_construct(supervisor=1, parts={}))
