"""Every named query that the code asks for is in a file, once."""

import re
from pathlib import Path

import pytest

from gateway.adapters.postgres import queries

PLACE = Path(queries.__file__).parent
ASKED = re.compile(r'\.(?:execute|fetch|fetchrow|fetchval)\(\s*"(\w+)"')


@pytest.mark.parametrize("path", sorted(PLACE.glob("*.py")), ids=lambda path: path.name)
def test_a_query_that_is_asked_for_is_in_a_file(path: Path) -> None:
    assert set(ASKED.findall(path.read_text())) - set(queries.SQL) == set()


def test_no_name_is_used_twice() -> None:
    names = [name for module in queries.modules() for name in queries.load(module)]
    assert len(names) == len(set(names))
