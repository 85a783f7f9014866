"""What the stack's commands make of their options."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stack import api, commands


@pytest.mark.parametrize("name", ["cut", "heal"])
@pytest.mark.parametrize(("options", "path"), [((), ""), (("--path", "mqtt"), "mqtt")])
def test_all_ways_of_a_region_or_one(
    name: str, options: tuple[str, ...], path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Path, str, str]] = []

    def answer(place: Path, region: str, way: str) -> list[str]:
        asked.append((place, region, way))
        return [region]

    monkeypatch.setattr(api, name, answer)
    done = CliRunner().invoke(getattr(commands, name), ["us20", "--data", str(tmp_path), *options])
    assert (done.exit_code, done.output) == (0, "Cut off: us20\n")
    assert asked == [(tmp_path, "us20", path)]


def test_another_way_is_wrong_usage() -> None:
    done = CliRunner().invoke(commands.cut, ["us20", "--path", "stream"])
    assert done.exit_code == 2
