"""One of a region's stores is restored from a copy of before a kill: the kill holds."""

from pathlib import Path

import pytest

from tests.system.flags import Record
from tests.system.test_restored_region import restores
from tests.system.world import World


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["openbao", "journal"])
def test_a_copy_of_before_a_kill_serves_nobody_that_was_killed(
    world: World, tmp_path: Path, measured: Record, what: str
) -> None:
    restores(world, tmp_path, measured, what)
