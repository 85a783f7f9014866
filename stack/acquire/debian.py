"""Parts that come as Debian packages: fetched and unpacked without root and without installing anything."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.files import read_bytes
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


def offers(release_name: str) -> bool:
    """Whether packages of this release of Debian are this machine's own, or as near to it as there are any."""
    own = release()
    return own == f"debian-{release_name}" or not own.startswith("debian-")


def packages(
    name: str,
    wanted: Sequence[str],
    adapt: Callable[[Path, Path], None] = lambda _here, _final: None,
    *,
    needs: bool = False,
    other: str = "",
) -> Path:
    """The tree of the packages `wanted`, unpacked; `adapt(tree, final place)` may change it before it is published.

    With `needs`, what they depend on and this machine lacks is in it too. `other` is a release of Debian that is not
    this machine's: its packages come from where this machine has its own, and are never installed.
    """

    def build(temporary: Path, final: Path) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise AcquireError("apt-get and dpkg are not on this machine")
        archives = temporary / ".archives"
        archives.mkdir()
        _download(archives, wanted, needs=needs, other=other)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(temporary)], cwd=temporary)
        shutil.rmtree(archives)
        adapt(temporary, final)

    return provide(f"{name}-debian-{other}" if other else f"{name}-{release()}", build)


def _download(archives: Path, wanted: Sequence[str], *, needs: bool, other: str) -> None:
    """With the machine's package lists, or with private ones where those are missing, stale, or of another release."""
    download = ["apt-get", "-q", *QUICK, "-o", "APT::Sandbox::User="]
    fetch = ["download", *wanted]
    if needs:
        # Nothing is installed and nothing locked: apt only says what would be needed, and fetches that.
        (archives / "partial").mkdir()
        download += ["-y", "-o", "Debug::NoLocking=true", "-o", f"Dir::Cache::archives={archives}"]
        fetch = ["install", "--download-only", "--no-install-recommends", *wanted]
    first = f"this machine's own packages are of {release()}"
    if not other:
        try:
            run([*download, *fetch], cwd=archives)
        except AcquireError as error:
            first = error.message
        else:
            return
    private = _private_lists(archives / "apt", other)
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


def _private_lists(place: Path, other: str) -> list[str]:
    """Options by which apt keeps lists and cache below `place`, which needs no root, for the distribution's sources.

    Those of the release `other`, where one is named.
    """
    for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
        (place / folder).mkdir(parents=True)
    (place / "status").touch()
    (place / "list").touch()
    candidates = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    candidates = [file for file in candidates if file.suffix in (".list", ".sources") and file.is_file()]
    texts = {file: read_bytes(file).decode(errors="replace") for file in candidates}
    own = {file: text for file, text in texts.items() if "/debian" in text or "/ubuntu" in text}
    for file, text in (own or texts).items():
        copy = place / "sources" / file.name
        copy.write_text(of_release(text, other) if other else text)
    return [
        *("-o", f"Dir::State={place / 'state'}"),
        *("-o", f"Dir::State::lists={place / 'state' / 'lists'}"),
        *("-o", f"Dir::State::status={place / 'status'}"),
        *("-o", f"Dir::Cache={place / 'cache'}"),
        *("-o", f"Dir::Etc::sourcelist={place / 'list'}"),
        *("-o", f"Dir::Etc::sourceparts={place / 'sources'}"),
        *("-o", "Acquire::Languages=none"),
    ]


def of_release(sources: str, other: str) -> str:
    """APT's sources of this machine's release, in either of their two forms, as those of the release `other`."""
    own = release().partition("-")[2]
    suite = re.compile(rf"(?<=\s)({re.escape(own)}|stable|oldstable)(?=[-/\s]|$)")
    kinds = ("deb ", "deb\t", "Suites:")
    lines = [suite.sub(other, line) if line.startswith(kinds) else line for line in sources.splitlines()]
    return "".join(f"{line}\n" for line in lines)
