"""What each version of the broker calls differently, told from the tree that it is in."""

from pathlib import Path

import pytest

from runtime.errors import Precondition
from stack.parts.rabbitmq import Installation


def tree(root: Path, version: str) -> Installation:
    return Installation(root / "usr/lib/erlang", root / f"usr/lib/rabbitmq/lib/rabbitmq_server-{version}")


@pytest.mark.parametrize(("version", "authenticates"), [("3.10.8", False), ("3.13.7", False), ("4.0.5", True)])
def test_version_4_looks_by_itself_who_somebody_is(tmp_path: Path, version: str, authenticates: bool) -> None:
    dialect = tree(tmp_path, version).dialect
    assert dialect.authenticates is authenticates
    # Who is not authenticated by policy is never without the broker's own look, and all are authorised by policy.
    assert ("authn = internal" in dialect.authentication) is authenticates
    assert "http" in dialect.authentication


@pytest.mark.parametrize("version", ["2.8.4", "5.0.0", "x", ""])
def test_any_other_version_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(Precondition, match="no RabbitMQ 3 or 4") as refused:
        assert tree(tmp_path, version).version
    assert refused.value.reason == "BROKER_VERSION"


def test_a_tree_with_its_own_loader_needs_no_library_path(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/x86_64-linux-gnu"
    programs = tmp_path / "usr/lib/erlang/erts-1/bin"
    for folder in (libraries, programs):
        folder.mkdir(parents=True)
    assert tree(tmp_path, "3.10.8").libraries == libraries
    (programs / ".beam.smp").touch()
    assert tree(tmp_path, "4.0.5").libraries is None
