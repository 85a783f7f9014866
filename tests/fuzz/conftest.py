"""A stack of its own, and how long and from which seed it is attacked."""

import pytest

from tests.system.conftest import measured, world

__all__ = ["measured", "world"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=2.0, help="How long hostile things are sent")
    parser.addoption("--seed", type=int, default=1, help="What they are drawn from")
