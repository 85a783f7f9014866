"""The state machine of a key's version."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from orbital.v1 import task_pb2 as pb

from runtime.keystates import STATES, follows, state_of


def test_every_state_of_the_contract_is_in_the_table_and_only_active_wraps() -> None:
    assert set(STATES) == set(pb.KeyState.values()) - {pb.KEY_STATE_UNSPECIFIED}
    assert [state for state, allows in STATES.items() if allows.wraps] == [pb.KEY_STATE_ACTIVE]
    assert {state for state, allows in STATES.items() if allows.unwraps} == {
        pb.KEY_STATE_ACTIVE,
        pb.KEY_STATE_DEPRECATED,
    }


def test_nothing_comes_back() -> None:
    """No way leads from a state to itself over others, so that nothing compromised or destroyed is ever used again."""
    assert not any(
        follows(after, before) for before, after in itertools.permutations(STATES, 2) if follows(before, after)
    )
    assert STATES[pb.KEY_STATE_DESTROYED].then == frozenset()


@given(
    st.lists(
        st.tuples(st.integers(min_value=0, max_value=3), st.integers(min_value=0, max_value=9)), min_size=1, max_size=8
    ),
    st.integers(min_value=1, max_value=20),
)
def test_rotations_and_emergencies_only_move_forward(steps: list[tuple[int, int]], version: int) -> None:
    newest, below, state = 1, 0, None
    for more, compromised in steps:
        newest += more
        below = min(newest, max(below, compromised))
        if version <= newest:
            after = state_of(version, newest, below, linked=True)
            assert state is None or follows(state, after)
            state = after


def test_exactly_one_version_wraps() -> None:
    for newest, below in ((1, 0), (3, 0), (3, 2), (3, 3)):
        states = [state_of(version, newest, below, linked=True) for version in range(1, newest + 1)]
        assert sum(STATES[state].wraps for state in states) == 1
        assert states[-1] == pb.KEY_STATE_ACTIVE
