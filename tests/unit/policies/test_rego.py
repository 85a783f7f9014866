"""The policies by OPA's own measures: formatted, strict, and tested to the last line."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.bundle import stage
from stack.acquire import path as binary

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "policies"
# Each test's own limit is five seconds otherwise, which a busy machine exceeds.
PATIENT = ("--timeout", "120s")


def opa(*arguments: str) -> str:
    done = subprocess.run([str(binary("opa")), *arguments], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that an engine runs, with its tests and tables, the guard of its own API included."""
    target = tmp_path_factory.mktemp("policies")
    stage(POLICIES, target, {}, {}, tests=True)
    (target / ".manifest").unlink()
    shutil.copytree(POLICIES / "system" / "authz", target / "system" / "authz")
    return target


def test_policies_are_formatted() -> None:
    assert opa("fmt", "--list", str(POLICIES)) == ""


def test_policies_are_strict(staged: Path) -> None:
    opa("check", "--strict", str(staged))


def test_policies_are_tested_to_the_last_line(staged: Path) -> None:
    opa("test", *PATIENT, str(staged))
    covered = json.loads(opa("test", *PATIENT, "--coverage", "--format", "json", str(staged)))
    assert {name: file["not_covered"] for name, file in covered["files"].items() if "not_covered" in file} == {}


@pytest.mark.parametrize(
    "directory", sorted({path.parent for path in POLICIES.rglob("*.rego")}), ids=lambda path: path.name
)
def test_every_package_and_entry_point_is_described(directory: Path) -> None:
    policy = directory / f"{directory.name}.rego"
    assert policy.with_name(f"{directory.name}_test.rego").exists()
    text = policy.read_text()
    assert text.startswith("# METADATA\n# title: ")
    assert "# scope: package\npackage " in text
