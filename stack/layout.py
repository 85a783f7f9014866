"""Where a stack keeps what: everything of it is below its data directory, but for the sockets."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import Precondition
from runtime.terminal import one_line

_LONGEST_SOCKET_PATH = 100
_LONGEST_NAME = 36
# What every part's configuration takes as it is, beside letters and digits: INI, YAML, HCL, Erlang terms, shell.
PLAIN = " /._-+@="
LONGEST_TOLD = 200


@dataclass(frozen=True)
class Layout:
    """The places of one stack. `root` is its data directory, absolute."""

    root: Path

    @classmethod
    def of(cls, place: Path | str) -> Layout:
        """The layout of the stack kept at `place`."""
        return cls(Path(place).expanduser().resolve())

    def check(self) -> None:
        """Raise Precondition on a place that the configuration files of some part could not name."""
        name = os.fsencode(self.root).decode(errors="surrogateescape")
        odd = odd_character(name)
        if odd:
            called = repr(odd) if odd.isprintable() else f"U+{ord(odd):04X}"
            raise Precondition(
                f"The data directory {one_line(name[:LONGEST_TOLD])} has {called} in its path, which the configuration"
                f" of a part cannot name. Name another with --data: letters, digits, blanks and {PLAIN.strip()}",
                reason="ODD_DIRECTORY",
            )

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def logs(self) -> Path:
        """One file a part."""
        return self.root / "log"

    @property
    def secrets(self) -> Path:
        """Passwords, PINs and keys, 0600 each."""
        return self.root / "secrets"

    @property
    def run(self) -> Path:
        """Sockets, in a short private directory: a Unix socket's path holds 107 bytes."""
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]
        place = Path(tempfile.gettempdir())
        length = len(str(place)) + len("/orbital-") + len(digest) + 1 + _LONGEST_NAME
        if odd_character(str(place)) or length > _LONGEST_SOCKET_PATH:
            place = Path("/tmp")  # noqa: S108 - made private and checked below
        return place / f"orbital-{digest}"

    @property
    def postgres_run(self) -> Path:
        """PostgreSQL's socket, in a directory of its own, because another account than ours may own it."""
        return self.run.with_name(f"{self.run.name}-pg")

    @property
    def postgres_pointer(self) -> Path:
        """A file that names PostgreSQL's cluster where that cannot be below the data directory."""
        return self.root / "postgres.place"

    def part(self, name: str) -> Path:
        """What the part `name` keeps."""
        return self.root / name

    def log(self, name: str) -> Path:
        """What the part `name` says."""
        return self.logs / f"{name}.log"

    def held(self, name: str) -> Path:
        """Exists while the part `name` is to stay down."""
        return self.root / "held" / name

    def identity(self, name: str) -> Path:
        """The certificates of `name`: `current/` holds the valid ones."""
        return self.root / "identity" / name

    def make(self) -> None:
        """Make the directories, private ones where that matters; raises Precondition on one that is not ours."""
        self.root.mkdir(parents=True, exist_ok=True)
        for place in (self.logs, self.secrets, self.root / "identity"):
            place.mkdir(exist_ok=True, mode=0o700)
        make_private(self.run)


def odd_character(name: str) -> str:
    """The first character that the configuration of some part could not name as it is; empty without any."""
    return next((each for each in name if not (each.isalnum() or each in PLAIN)), "")


def make_private(place: Path) -> None:
    """A directory that only we can use; raises Precondition if somebody else made it first."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Precondition(f"{place} belongs to somebody else; remove it first", reason="NOT_OURS")
    place.chmod(0o700)
