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
    assert [item for item in functions if item[1] > 60] == []
    longish = [item for item in functions if item[1] > 40]
    assert len(longish) <= len(functions) * 0.02, longish


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
