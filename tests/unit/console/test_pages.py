"""The console reads every list to its end, or to a bound that it states: never one page alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from console.web.api import Gateway
from console.web.person import Person

CONSOLE = Path(__file__).resolve().parents[3] / "console"
# They read page after page by `after`, which is no token.
BY_SEQUENCE = {"ListAuditRequest"}


def single_pages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each list that is asked for by one call, whose answer is all that is read of it."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        made = {
            target.id: value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target, value in _pairs(node)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "call":
                for given_ in node.args:
                    request = made.get(given_.id) if isinstance(given_, ast.Name) else given_
                    name = ast.unparse(request.func).rpartition(".")[2] if isinstance(request, ast.Call) else ""
                    if name.startswith("List") and name not in BY_SEQUENCE and not _is_one_page(request):
                        yield node.lineno, name


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.Name, ast.expr]]:
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from (
                (one, value)
                for one, value in zip(target.elts, node.value.elts, strict=True)
                if isinstance(one, ast.Name)
            )


def _is_one_page(request: Any) -> bool:
    """One row is wanted, or the page that somebody turned to, which has a link to the next one."""
    fields = {each.arg: ast.unparse(each.value) for each in request.keywords}
    return fields.get("page_size") == "1" or "page_token" in fields


def test_no_list_is_read_by_one_page() -> None:
    found = [
        (str(path.relative_to(CONSOLE)), line, name)
        for path in sorted(CONSOLE.rglob("*.py"))
        for line, name in single_pages(ast.parse(path.read_text()))
    ]
    assert found == []


def test_what_reads_one_page_is_found() -> None:
    direct = "async def f():\n    x = await call(p, api.ListJobs, registry.ListJobsRequest(page_size=500))"
    named = "def f():\n    a, x = ListDecisionsRequest(page_size=1000), 1\n    return c.call(api.ListDecisions, a)"
    assert list(single_pages(ast.parse(direct))) == [(2, "ListJobsRequest")]
    assert list(single_pages(ast.parse(named))) == [(3, "ListDecisionsRequest")]


@given(st.lists(st.integers(0, 4)), st.integers(1, 12))
async def test_the_first_rows_and_whether_there_are_more(sizes: list[int], most: int) -> None:
    """Pages of any size, some of them empty."""
    rows = list(range(sum(sizes)))
    asked: list[str] = []

    async def method(request: Any, **_: Any) -> Any:
        asked.append(request.page_token)
        at = int(request.page_token or 0)
        begin = sum(sizes[:at])
        page = rows[begin : begin + sizes[at]] if sizes else []
        return SimpleNamespace(rows=page, next_page_token=str(at + 1) if at + 1 < len(sizes) else "")

    person = Person.__new__(Person)
    object.__setattr__(person, "token", "t")
    gateway = Gateway.__new__(Gateway)
    found, more = await gateway.first(person, method, SimpleNamespace(page_token=""), "rows", most)
    assert found == rows[:most]
    assert more or len(rows) <= most
    assert len(asked) <= len(sizes) or not sizes
