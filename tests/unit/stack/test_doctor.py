"""What the doctor says of a machine and of a stack's processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import OrbitalError
from stack import doctor
from stack.doctor import Finding, examine


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is there, so that nothing is fetched."""
    monkeypatch.setattr(doctor.catalog, "path", lambda name, _settings: Path("/parts") / name)


def found(place: Path) -> dict[str, Finding]:
    return {one.subject: one for one in examine(place)}


def test_a_machine_without_a_stack(tmp_path: Path) -> None:
    seen = found(tmp_path / "not" / "yet")
    assert seen["stack"].advice == "Start one: orbital up"
    assert seen["python"].advice == ""
    assert seen["a durable write"].said.endswith(" ms")
    assert seen["envoy"].said == "/parts/envoy"
    assert not (tmp_path / "not").exists()


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK", 2**60)
    assert str(tmp_path) in found(tmp_path)["disk of the data"].advice


def test_a_slow_disk_and_few_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(doctor, "FILES", 2**62)
    seen = found(tmp_path)
    assert "faster" in seen["a durable write"].advice
    assert "ulimit" in seen["open files"].advice


def test_a_part_that_cannot_be_had_says_how_to_supply_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(name: str, _settings: object) -> Path:
        raise OrbitalError(f"{name} cannot be had. To supply your own, set ORBITAL_STACK__X.")

    monkeypatch.setattr(doctor.catalog, "path", away)
    assert "ORBITAL_STACK__X" in found(tmp_path)["opa"].advice
