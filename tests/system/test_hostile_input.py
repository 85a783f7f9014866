"""Two minutes of hostile input at every entry point, after all other tests: none of them meets what it leaves."""

import pytest

from tests.fuzz.attack import attacked
from tests.system.flags import Record
from tests.system.world import World

MINUTES, SEED = 2, 1


@pytest.mark.timeout(600)
def test_hostile_things_at_every_door_harm_nobody_else(world: World, measured: Record) -> None:
    attacked(world, measured, MINUTES, SEED)
