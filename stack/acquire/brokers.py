"""RabbitMQ with its Erlang, and SoftHSM: what to take from the distribution and how to make it movable."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from runtime.files import read_text
from stack.acquire import debian
from stack.acquire.commands import AcquireError, run
from stack.acquire.debian import packages

ERLANG = (
    *("base", "asn1", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key", "runtime-tools"),
    *("ssl", "syntax-tools", "tools", "xmerl"),
)
# What Erlang's programs are linked with, whatever the release.
LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "libtinfo6", "zlib1g", "libsystemd0", "libcap2", "libzstd1")
LOADERS = ("usr/lib64/ld-linux-*.so.*", "usr/lib/ld-linux-*.so.*", "lib64/ld-linux-*.so.*", "lib/ld-linux-*.so.*")
# Programs of another release run with the libraries of theirs, and no user namespace or root is needed for it. Not by
# LD_LIBRARY_PATH: what they start is this machine's own, such as its shell, and would take them too.
LAUNCHER = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""


@dataclass(frozen=True)
class Origin:
    """The Debian release that has a major version of RabbitMQ, and how it calls its OpenSSL."""

    release: str
    openssl: str


ORIGINS = {
    "3": Origin("bookworm", "libssl3"),
    "4": Origin("trixie", "libssl3t64"),
}


def rabbitmq(version: str) -> Path:
    """A tree with RabbitMQ of this major version, and the Erlang that runs it."""
    origin = ORIGINS[version]
    wanted = ["rabbitmq-server", *(f"erlang-{name}" for name in ERLANG)]

    def adapt(tree: Path, final: Path) -> None:
        if not list(tree.glob(f"usr/lib/rabbitmq/lib/rabbitmq_server-{version}.*")):
            raise AcquireError(f"the packages of {debian.release()} hold another RabbitMQ than {version}")
        _move_erlang(tree, final)

    def adapt_foreign(tree: Path, final: Path) -> None:
        adapt(tree, final)
        bring_libraries(tree, final)

    if debian.offers(origin.release):
        return packages("rabbitmq", wanted, adapt)
    wanted += [*LIBRARIES, origin.openssl]
    return packages(f"rabbitmq-{version}", wanted, adapt_foreign, other=origin.release)


def softhsm() -> Path:
    """A tree with the SoftHSM library and its command."""
    return packages("softhsm", ["softhsm2", "softhsm2-common", "libsofthsm2"])


def _move_erlang(tree: Path, final: Path) -> None:
    """`erl` and `start` name their own root: give them the place where they will be."""
    lib = tree / "usr/lib/erlang"
    for script in [*lib.glob("bin/*"), *lib.glob("erts-*/bin/*")]:
        if script.name in ("erl", "start") and script.is_file() and not script.is_symlink():
            script.write_text(read_text(script).replace("/usr/lib/erlang", str(final / "usr/lib/erlang")))


def bring_libraries(tree: Path, final: Path) -> None:
    """Put a launcher in place of each of Erlang's programs, by which it runs with the tree's own libraries."""
    loader = next((found for pattern in LOADERS for found in sorted(tree.glob(pattern))), None)
    if loader is None:
        raise AcquireError("the packages hold no dynamic loader")
    folders = sorted({str(file.parent) for file in tree.glob("usr/lib/*-linux-*/*.so*")})
    libraries = ":".join(folders)
    # All of them first: each is moved, and would be found again.
    for program in list((tree / "usr/lib/erlang").rglob("*")):
        if program.suffix == ".so" or program.is_symlink() or not program.is_file() or not _is_elf(program):
            continue
        _have_all(loader, libraries, program)
        moved = program.with_name(f".{program.name}")
        program.rename(moved)
        here, there = str(tree), str(final)
        places = (final / loader.relative_to(tree), libraries.replace(here, there), final / moved.relative_to(tree))
        program.write_text(launcher(*places))
        program.chmod(0o755)


def launcher(loader: Path, libraries: str, program: Path) -> str:
    """A script that runs the program with these libraries alone."""
    quoted = {"loader": str(loader), "libraries": libraries, "program": str(program)}
    return LAUNCHER.format(**{name: shlex.quote(text) for name, text in quoted.items()})


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _have_all(loader: Path, libraries: str, program: Path) -> None:
    """Raises AcquireError naming the library that the program lacks; statically linked ones need none."""
    said = run([str(loader), "--library-path", libraries, "--list", str(program)], cwd=program.parent)
    lacking = [line.split()[0] for line in said.splitlines() if "not found" in line]
    if lacking:
        raise AcquireError(f"{program.name} lacks {', '.join(lacking)}")
