"""Hostile input at every entry point for as long as one likes, from any seed."""

import pytest

from tests.fuzz.attack import attacked
from tests.system.flags import Record
from tests.system.world import World


@pytest.mark.timeout(36_000)
def test_hostile_things_at_every_door_harm_nobody_else(
    world: World, measured: Record, pytestconfig: pytest.Config
) -> None:
    attacked(world, measured, pytestconfig.getoption("--minutes"), pytestconfig.getoption("--seed"))
