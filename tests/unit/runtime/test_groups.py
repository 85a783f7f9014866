import ast
import asyncio
from pathlib import Path

import pytest

from runtime.errors import Denied, Invalid, OrbitalError, Unavailable
from runtime.groups import ungrouped

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("bench", "checker", "console", "gateway", "region", "runtime", "stack")
    for path in (ROOT / folder).rglob("*.py")
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_raised_where_a_group_is_taken_apart(path: Path) -> None:
    """Up to Python 3.11.3 it would arrive inside another group."""
    if "except*" not in path.read_text():
        return
    raised = [
        f"{path.name}:{node.lineno}"
        for taking in ast.walk(ast.parse(path.read_text()))
        if isinstance(taking, ast.TryStar)
        for handler in taking.handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise)
    ]
    assert raised == []


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([Unavailable("away")], "away"),
        ([Unavailable("away"), Denied("revoked")], "revoked"),
        ([ExceptionGroup("inner", [Invalid("wrong")])], "wrong"),
    ],
)
async def test_a_group_of_known_errors_is_one_of_them(errors: list[Exception], expected: str) -> None:
    with pytest.raises(OrbitalError, match=expected) as raised, ungrouped():
        raise ExceptionGroup("several", errors)
    assert raised.value.__suppress_context__


async def test_a_group_with_something_unknown_stays() -> None:
    with pytest.raises(ExceptionGroup), ungrouped():
        raise ExceptionGroup("several", [ValueError(), Denied("revoked")])


async def test_a_cancellation_stays_one() -> None:
    with pytest.raises(asyncio.CancelledError), ungrouped():
        raise asyncio.CancelledError
