"""Running a server as nobody when the stack is root's: whom, and where such an account can read and write."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

from runtime.errors import Precondition
from stack.acquire.cache import locked

# Reachable by every account, unlike the home of root.
SHARED = Path("/var/lib/orbital")


def account(name: str) -> pwd.struct_passwd | None:
    """Whom to run as: None as an ordinary user, who runs everything as themselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        message = f"There is no account {name}; name another in ORBITAL_STACK__POSTGRES_USER"
        raise Precondition(message, reason="NO_ACCOUNT") from error


def reachable(place: Path) -> bool:
    """Whether every account may walk to `place`."""
    walk = [place, *place.parents]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in walk if folder.exists())


def reachable_copy(tree: Path, name: str) -> Path:
    """`tree`, or a copy of it that every account can reach, called `name`."""
    if reachable(tree):
        return tree
    copy = SHARED / name
    if copy.is_dir():
        return copy
    make_shared()
    with locked(SHARED / f".{name}.lock"):
        if not copy.is_dir():
            temporary = SHARED / f".{name}.{os.getpid()}"
            shutil.copytree(tree, temporary, symlinks=True)
            for path in (temporary, *temporary.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
            temporary.rename(copy)
    return copy


def make_shared() -> None:
    """The directory for what an unprivileged account must reach."""
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)
