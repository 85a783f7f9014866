"""The house rules that no linter knows."""

import ast
from pathlib import Path

import pytest
from orbital.v1 import (
    approval_pb2,
    crypto_pb2,
    dispatch_pb2,
    edge_pb2,
    enrolment_pb2,
    flag_pb2,
    receipt_pb2,
    registry_pb2,
    report_pb2,
    trace_pb2,
    verify_pb2,
)

from runtime import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("runtime", "gateway", "region", "checker", "console", "stack", "bench")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROSE = [*(ROOT / "policies").rglob("*.rego"), *(ROOT / "envoy").rglob("*.yaml"), *(ROOT / "gateway").rglob("*.sql")]
BANNED = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
CONTRACTS = (
    approval_pb2,
    crypto_pb2,
    dispatch_pb2,
    edge_pb2,
    enrolment_pb2,
    flag_pb2,
    receipt_pb2,
    registry_pb2,
    report_pb2,
    trace_pb2,
    verify_pb2,
)


def _functions(path: Path) -> list[tuple[str, int]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(path): lines for path in SOURCES + TESTS + PROSE if (lines := path.read_text().count("\n")) > 400}
    assert long == {}


def test_no_function_is_longer_than_60_lines_and_few_than_40() -> None:
    functions = [item for path in SOURCES for item in _functions(path)]
    in_tests = [item for path in TESTS for item in _functions(path)]
    assert [item for item in functions + in_tests if item[1] > 60] == []
    longish = [item for item in functions if item[1] > 40]
    assert len(longish) <= len(functions) * 0.02, longish


def _constructors(path: Path) -> list[tuple[str, int]]:
    """Each constructor that is written out, with the number of its arguments beside `self`.

    Dataclasses and named tuples have none: they are records and settings, whose fields are what they are, and take
    over no job of whoever is given them.
    """
    return [
        (f"{path.relative_to(ROOT)}:{each.lineno} {owner.name}", len(arguments.args) + len(arguments.kwonlyargs) - 1)
        for owner in ast.walk(ast.parse(path.read_text()))
        if isinstance(owner, ast.ClassDef)
        for each in owner.body
        if isinstance(each, ast.FunctionDef) and each.name == "__init__"
        for arguments in [each.args]
    ]


def _puts_together(path: Path) -> bool:
    """Whether the file is one where adapters meet the flow."""
    package = path.relative_to(ROOT).parts[0]
    imported = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    return all(any(name.startswith(f"{package}.{part}.") for name in imported) for part in ("adapters", "flow"))


def test_no_constructor_takes_more_than_six_arguments() -> None:
    found = [item for path in SOURCES for item in _constructors(path)]
    assert len(found) > 200
    assert [item for item in found if item[1] > 6] == []


def test_where_parts_are_put_together_no_call_hides_its_arguments_behind_a_star() -> None:
    """Whoever reads it sees which argument is which."""
    roots = [path for path in SOURCES if _puts_together(path)]
    assert {f"{package}/{name}" for package in ("gateway", "region") for name in ("main.py", "lanes.py")} <= {
        str(path.relative_to(ROOT)) for path in roots
    }
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in roots
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and (
            any(isinstance(argument, ast.Starred) for argument in call.args)
            or any(keyword.arg is None for keyword in call.keywords)
        )
    ]
    assert hidden == []


def test_where_parts_are_put_together_more_than_four_arguments_of_a_class_are_named() -> None:
    unnamed = [
        f"{path.relative_to(ROOT)}:{call.lineno} {called.id}"
        for path in filter(_puts_together, SOURCES)
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and len(call.args) > 4
        for called in [call.func]
        if isinstance(called, ast.Name) and called.id[0].isupper()
    ]
    assert unnamed == []


def test_no_name_that_says_nothing() -> None:
    assert [str(path) for path in SOURCES if path.stem in BANNED or path.parent.name in BANNED] == []


def test_no_variable_is_called_data() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == "data")
        or (isinstance(node, ast.arg) and node.arg == "data")
    ]
    assert found == []


@pytest.mark.parametrize("package", ["gateway", "region", "checker"])
def test_the_domain_is_silent(package: str) -> None:
    loud = {"asyncio", "time", "random", "secrets", "logging", "structlog", "os", "socket", "aiohttp", "grpc"}
    for path in (ROOT / package / "domain").glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & loud, path
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)], path


def test_every_error_has_a_status_and_every_status_an_error() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OrbitalError)}
    assert kinds == set(errors.STATUS)
    assert all(
        errors.STATUS[kind] is status or status.name == "DEADLINE_EXCEEDED" for status, kind in errors.ERRORS.items()
    )


def test_every_rpc_is_known_to_the_policy() -> None:
    policy = "\n".join(
        path.read_text() for path in (ROOT / "policies").rglob("*") if path.suffix in (".rego", ".json", ".yaml")
    )
    for contract in CONTRACTS:
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                assert method.name in policy, f"{service.full_name}/{method.name} has no rule in policies/"
