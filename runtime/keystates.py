"""The states of one version of a key, and what each allows: the one table of desired state and of serving.

The gateway and the regions share nothing but the contract and `runtime`, so that it stands here.

Described for people in docs/reference/keys.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orbital.v1 import task_pb2 as pb

from runtime.wellknown import label

# Versions that one key may have.
MOST_VERSIONS = 1_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a version in some state may be used for, and the states that may follow."""

    wraps: bool
    unwraps: bool
    then: frozenset[pb.KeyState.ValueType]


STATES: Mapping[pb.KeyState.ValueType, Allowance] = {
    pb.KEY_STATE_PRE_ACTIVE: Allowance(
        wraps=False,
        unwraps=False,
        then=frozenset({pb.KEY_STATE_ACTIVE, pb.KEY_STATE_DEPRECATED, pb.KEY_STATE_COMPROMISED})
        | {pb.KEY_STATE_DESTROYED},
    ),
    pb.KEY_STATE_ACTIVE: Allowance(
        wraps=True,
        unwraps=True,
        then=frozenset({pb.KEY_STATE_DEPRECATED, pb.KEY_STATE_COMPROMISED, pb.KEY_STATE_DESTROYED}),
    ),
    pb.KEY_STATE_DEPRECATED: Allowance(
        wraps=False, unwraps=True, then=frozenset({pb.KEY_STATE_COMPROMISED, pb.KEY_STATE_DESTROYED})
    ),
    pb.KEY_STATE_COMPROMISED: Allowance(wraps=False, unwraps=False, then=frozenset({pb.KEY_STATE_DESTROYED})),
    pb.KEY_STATE_DESTROYED: Allowance(wraps=False, unwraps=False, then=frozenset()),
}


def state_of(version: int, newest: int, compromised_below: int, *, linked: bool) -> pb.KeyState.ValueType:
    """The state of a version of a key that has `newest` versions; without versions the key is destroyed."""
    if not 0 < version <= newest:
        return pb.KEY_STATE_DESTROYED
    if version < compromised_below:
        return pb.KEY_STATE_COMPROMISED
    if not linked:
        return pb.KEY_STATE_PRE_ACTIVE
    return pb.KEY_STATE_ACTIVE if version == newest else pb.KEY_STATE_DEPRECATED


def follows(before: pb.KeyState.ValueType, after: pb.KeyState.ValueType) -> bool:
    """Whether a version may go from one state to the other; staying is always allowed."""
    return before == after or after in STATES[before].then


def state_name(state: pb.KeyState.ValueType) -> str:
    """DEPRECATED for KEY_STATE_DEPRECATED, as people write it."""
    return label(pb.KeyState, state, "KEY_STATE_")
