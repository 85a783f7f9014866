"""The Python that is allowed is the Python that is tested."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_this_run_is_of_a_version_that_is_allowed() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11,<3.12"
    assert sys.version_info[:2] == (3, 11)


def test_every_place_that_names_a_version_names_the_same() -> None:
    for name in ("orbital", ".ci/run", "README.md", "stack/doctor.py"):
        text = (ROOT / name).read_text()
        assert not re.search(r"3\.1[02-9]\b", text), name
        assert re.search(r"3[.,] ?11\b", text), name
