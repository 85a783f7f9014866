"""Parts that come as Debian packages: fetched and unpacked without root and without installing anything."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from stack.acquire.cache import provide
from stack.acquire.commands import AcquireError, run

QUICK = ["-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]
SOURCES = Path("/etc/apt")


def release() -> str:
    """Name of this distribution's release: it decides the version of each of its packages."""
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    return f"{facts.get('ID', 'linux')}-{facts.get('VERSION_CODENAME') or facts.get('VERSION_ID', 'rolling')}"


def packages(
    name: str,
    wanted: Sequence[str],
    adapt: Callable[[Path, Path], None] = lambda _here, _final: None,
    *,
    needs: bool = False,
) -> Path:
    """The tree of the packages `wanted`, unpacked; `adapt(tree, final place)` may change it before it is published.

    With `needs`, what they depend on and this machine lacks is in it too.
    """

    def build(temporary: Path, final: Path) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise AcquireError("apt-get and dpkg are not on this machine")
        archives = temporary / ".archives"
        archives.mkdir()
        _download(archives, wanted, needs=needs)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(temporary)], cwd=temporary)
        shutil.rmtree(archives)
        adapt(temporary, final)

    return provide(f"{name}-{release()}", build)


def _download(archives: Path, wanted: Sequence[str], *, needs: bool) -> None:
    """With the machine's package lists, or with private ones where those are missing or stale."""
    download = ["apt-get", "-q", *QUICK, "-o", "APT::Sandbox::User="]
    fetch = ["download", *wanted]
    if needs:
        # Nothing is installed and nothing locked: apt only says what would be needed, and fetches that.
        (archives / "partial").mkdir()
        download += ["-y", "-o", "Debug::NoLocking=true", "-o", f"Dir::Cache::archives={archives}"]
        fetch = ["install", "--download-only", "--no-install-recommends", *wanted]
    try:
        run([*download, *fetch], cwd=archives)
    except AcquireError as error:
        first = error.message
    else:
        return
    private = _private_lists(archives / "apt")
    try:
        # A source that has nothing to do with the distribution may fail; what counts is whether the packages come.
        run([*download, *private, "update"], cwd=archives)
    except AcquireError as error:
        first = error.message
    try:
        run([*download, *private, *fetch], cwd=archives)
    except AcquireError as error:
        raise AcquireError(f"{error.message}; before that, {first}") from error
    finally:
        shutil.rmtree(archives / "apt", ignore_errors=True)


def _private_lists(place: Path) -> list[str]:
    """Options by which apt keeps lists and cache below `place`, which needs no root, for the distribution's sources."""
    for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
        (place / folder).mkdir(parents=True)
    (place / "status").touch()
    (place / "list").touch()
    candidates = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    candidates = [file for file in candidates if file.suffix in (".list", ".sources") and file.is_file()]
    own = [file for file in candidates if "/debian" in (text := file.read_text(errors="replace")) or "/ubuntu" in text]
    for file in own or candidates:
        (place / "sources" / file.name).symlink_to(file)
    return [
        *("-o", f"Dir::State={place / 'state'}"),
        *("-o", f"Dir::State::lists={place / 'state' / 'lists'}"),
        *("-o", f"Dir::State::status={place / 'status'}"),
        *("-o", f"Dir::Cache={place / 'cache'}"),
        *("-o", f"Dir::Etc::sourcelist={place / 'list'}"),
        *("-o", f"Dir::Etc::sourceparts={place / 'sources'}"),
        *("-o", "Acquire::Languages=none"),
    ]
