"""The kill switch beside each flood, with enough kills for a p99 that is one."""

from __future__ import annotations

import pytest

from tests.system.flags import Record
from tests.system.floods import KINDS
from tests.system.test_3_kill_switch import beside_each
from tests.system.world import World

KILLS = 200


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_the_p99_of_a_kill_is_at_most_doubled(world: World, measured: Record, kind: str) -> None:
    most, taken = beside_each(world, measured, (kind,), KILLS)
    assert taken[kind] <= most
