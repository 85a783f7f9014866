"""How far the rebuild of a region is, in tables and on its page."""

from __future__ import annotations

from typing import Any

import pytest
from orbital.v1.registry_pb2 import Rebuild, Region
from orbital.v1.resource_pb2 import RegionSpec, Resource

from console.cli import rows
from console.cli.nouns import find
from console.cli.render import rebuilt, show


def region(name: str, **rebuild: Any) -> rows.Row:
    one = Region(resource=Resource(name=f"regions/{name}", region=RegionSpec()))
    if rebuild:
        remaining = rebuild.pop("remaining", None)
        one.rebuild.CopyFrom(Rebuild(stores=["openbao"], **rebuild))
        if remaining is not None:
            one.rebuild.remaining.FromSeconds(remaining)
    return rows.region(one)


@pytest.mark.parametrize(
    ("rebuild", "said"),
    [
        ({"replayed": 0, "total": 1200, "rate": 0.0}, "0 of 1,200, 0/s"),
        ({"replayed": 340, "total": 1200, "rate": 12.04, "remaining": 71}, "340 of 1,200, 12/s, 1m11s left"),
        ({"replayed": 1200, "total": 1200, "rate": 15.5, "remaining": 0}, "1,200 of 1,200, 15.5/s"),
    ],
)
def test_it_says_how_many_how_fast_and_how_long(rebuild: dict[str, Any], said: str) -> None:
    assert rebuilt(region("eu10", **rebuild)["rebuild"]) == said


@pytest.mark.parametrize("output", ["table", "wide"])
def test_the_column_is_there_only_while_a_region_is_rebuilt(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    noun = find("regions")
    show([region("us20")], noun.columns, output, (), "name")
    assert "REBUILT" not in capsys.readouterr().out
    show([region("us20"), region("eu10", replayed=1, total=4, rate=1.0)], noun.columns, output, (), "name")
    shown = capsys.readouterr().out
    assert "REBUILT" in shown
    assert "1 of 4, 1/s" in shown
