"""The table of grants against the code: each line names a caller that is there, and no caller goes without a line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.openbao import grants

TOP = Path(__file__).parents[3]
DOMAIN = "orbital"
TABLES = {
    "region": grants.REGION,
    "region-change": grants.REGION_CHANGE,
    "region-token": grants.REGION_TOKEN,
    "customer": grants.CUSTOMER,
    "person": grants.PERSON,
    "gateway": grants.gateway(DOMAIN, ["us20"]),
}
EVERY = [(name, grant) for name, table in TABLES.items() for grant in table]
# What reaches OpenBao over HTTP is asked by one of these.
ASKING = {"region/adapters", "gateway/adapters", "runtime"}


def _callers() -> Iterator[str]:
    """Each method of ours that asks OpenBao something, as the table names it."""
    for folder in ASKING:
        for file in sorted((TOP / folder).rglob("*.py")):
            module = ".".join(file.relative_to(TOP).with_suffix("").parts)
            for owner in ast.parse(file.read_text()).body:
                if not isinstance(owner, ast.ClassDef) or owner.name == "OpenBao":
                    continue
                for method in owner.body:
                    if isinstance(method, ast.AsyncFunctionDef) and "_openbao.call(" in ast.unparse(method):
                        yield f"{module}:{owner.name}.{method.name}"


def _source(code: str) -> str:
    module, _, name = code.partition(":")
    file = TOP / Path(*module.split(".")).with_suffix(".py")
    owner, method = name.split(".")
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name == method:
                    return ast.unparse(inner)
    raise AssertionError(f"{code} is not there")


@pytest.mark.parametrize(("identity", "grant"), EVERY, ids=[f"{name} {grant.path}" for name, grant in EVERY])
def test_each_grant_names_code_that_is_there(identity: str, grant: grants.Grant) -> None:
    for code in grant.code:
        if ":" in code:
            assert _source(code)
        else:
            assert identity == "person"


@pytest.mark.parametrize("caller", sorted(set(_callers())))
def test_each_caller_has_a_grant(caller: str) -> None:
    assert caller in {code for _, grant in EVERY for code in grant.code}


@pytest.mark.parametrize(("identity", "grant"), EVERY, ids=[f"{name} {grant.path}" for name, grant in EVERY])
def test_each_write_names_its_parameters(identity: str, grant: grants.Grant) -> None:
    del identity
    text = grant.render()
    assert grant.writes == bool(re.search("allowed_parameters|denied_parameters", text))
    assert not {"sudo", "patch"} & {*grant.can}
    if grant.writes:
        assert grant.parameters is not None
    # A rest of any length is granted of records alone, and of reading which regions have a login.
    if grant.path.endswith("*"):
        assert grant.path.startswith("keys/") or grant.can == (grants.READ,)


def test_no_grant_makes_a_key_that_can_be_taken_out() -> None:
    for _, grant in EVERY:
        assert not re.search(r"export|backup|restore|trim|byok|hmac|datakey|random", grant.path)
        for name in ("exportable", "allow_plaintext_backup"):
            values = (grant.parameters or {}).get(name)
            assert values is None or list(values) == [False]
