"""APT's sources of another release are those of this machine, the release apart; what is fetched runs by itself."""

import subprocess
from pathlib import Path

import pytest

from stack.acquire import brokers, debian
from stack.acquire.commands import AcquireError
from stack.settings import Stack

DEB822 = """Types: deb
# bookworm as it was
URIs: http://mirror.example/stable/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
"""
ONE_LINE = """deb [signed-by=/k.gpg] http://mirror.example/bookworm/debian bookworm main
deb http://mirror.example/debian stable-updates main
deb http://mirror.example/security bookworm/updates main
# deb http://mirror.example/debian bookworm contrib
"""


@pytest.fixture(autouse=True)
def _bookworm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "release", lambda: "debian-bookworm")


def test_only_the_suites_change() -> None:
    changed = debian.of_release(DEB822, "trixie")
    assert changed == DEB822.replace("Suites: bookworm bookworm-updates", "Suites: trixie trixie-updates").replace(
        "Suites: bookworm-security", "Suites: trixie-security"
    )
    assert debian.of_release(ONE_LINE, "trixie").splitlines() == [
        "deb [signed-by=/k.gpg] http://mirror.example/bookworm/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/security trixie/updates main",
        "# deb http://mirror.example/debian bookworm contrib",
    ]


@pytest.mark.parametrize(
    ("own", "offered"),
    [("debian-bookworm", {"bookworm"}), ("debian-trixie", {"trixie"}), ("ubuntu-noble", {"bookworm", "trixie"})],
)
def test_what_is_not_debian_has_only_its_own(own: str, offered: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "release", lambda: own)
    assert {name for name in ("bookworm", "trixie") if debian.offers(name)} == offered


def test_the_version_is_3_or_4_and_3_by_itself() -> None:
    assert Stack().rabbitmq_version == "3"
    for wrong in ("5", "34", "", "4.0"):
        with pytest.raises(ValueError, match="rabbitmq_version"):
            Stack(rabbitmq_version=wrong)


def test_a_program_of_another_release_runs_by_the_loader_that_came_with_it(tmp_path: Path) -> None:
    final = tmp_path / "it's final"
    (final / "usr/lib64").mkdir(parents=True)
    loader = final / "usr/lib64/ld-linux-test.so.2"
    loader.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    loader.chmod(0o755)
    launcher = tmp_path / "erl"
    launcher.write_text(brokers.launcher(loader, "/a:/b", final / ".erl"))
    launcher.chmod(0o755)
    said = subprocess.run([launcher, "-x", "two words"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["--library-path", "/a:/b", str(final / ".erl"), "-x", "two words"]


def test_a_tree_without_a_loader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AcquireError, match="no dynamic loader"):
        brokers.bring_libraries(tmp_path, tmp_path / "final")


def test_a_library_that_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loader, program = tmp_path / "usr/lib64/ld-linux-test.so.2", tmp_path / "usr/lib/erlang/erts-1/bin/beam.smp"
    for file in (loader, program):
        file.parent.mkdir(parents=True)
        file.write_bytes(b"\x7fELF")
    monkeypatch.setattr(
        brokers, "run", lambda *_, **__: "\tlibc.so.6 => /x/libc.so.6 (0x1)\n\tlibm.so.6 => not found\n"
    )
    with pytest.raises(AcquireError, match=r"beam\.smp lacks libm\.so\.6"):
        brokers.bring_libraries(tmp_path, tmp_path / "final")
