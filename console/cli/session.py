"""The login of a person at a command line: a private file for each gateway, and no other trace of it."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from console.cli.failure import Exit, Failure
from runtime.files import read_stream

# Policy decides (policies/data/limits.yaml, 300 s); who is about to do something grave is told before it fails.
LOGIN_IS_OLD = 240.0
AGAIN = "Run: orbital login"


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who logged in for `gateway` (host:port). Times are in seconds since the epoch."""

    gateway: str
    ca: str
    issuer: str
    person: str
    token: str
    expires: float
    # When they typed their password; 0 when the token does not say.
    logged_in: float

    def __repr__(self) -> str:
        return f"Login({self.person} at {self.gateway})"

    @property
    def is_over(self) -> bool:
        """Whether the token is no longer good."""
        return self.expires <= time.time()

    @property
    def is_old(self) -> bool:
        """Whether what is grave will want another one."""
        return time.time() - self.logged_in > LOGIN_IS_OLD

    def good(self) -> Login:
        """Itself; raises Failure 4 when it is over."""
        if self.is_over:
            raise Failure(f"Not logged in (expired {clock(self.expires)}). {AGAIN}", Exit.NOT_LOGGED_IN)
        return self


def clock(moment: float) -> str:
    """The hour and minute of a moment, here; with the date where that is another day."""
    try:
        then = datetime.fromtimestamp(moment).astimezone()
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"
    return then.strftime("%H:%M" if then.date() == datetime.now(then.tzinfo).date() else "%Y-%m-%d %H:%M")


def tell_old(login: Login | None) -> None:
    """Say that what follows will want another login, before somebody types what is asked."""
    if login is not None and login.is_old:
        from console.cli.render import say

        since = f"You logged in at {clock(login.logged_in)}" if login.logged_in else "Nothing says when you logged in"
        say(f"{since}, and this wants somebody who has just logged in. If it is refused, run: orbital login --fresh")


def _place(gateway: str) -> Path:
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = "".join(one if one.isalnum() or one in ".-" else "_" for one in gateway)
    return home / "orbital" / f"login-{name}.json"


def kept(gateway: str) -> Login | None:
    """Who is, or was, logged in for this gateway; raises Failure on a file that others can read, or that is none."""
    place = _place(gateway)
    try:
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Failure(f"{place} can be read by others. {AGAIN}", Exit.NOT_LOGGED_IN)
            return _read(json.loads(read_stream(file, str(place))))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise Failure(f"{place} cannot be read ({type(error).__name__}). {AGAIN}", Exit.NOT_LOGGED_IN) from error


def _read(fields: dict[str, Any]) -> Login:
    """What a file says; raises TypeError or ValueError where it is no login."""
    login = Login(**fields)
    texts = (login.gateway, login.ca, login.issuer, login.person, login.token)
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TypeError("a text is none")
    return replace(login, expires=float(login.expires), logged_in=float(login.logged_in))


def keep(login: Login) -> None:
    """Store it for its owner alone, in place of an earlier one."""
    from runtime.private_files import write_private

    place = _place(login.gateway)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(place, json.dumps(asdict(login)))
    except OSError as error:
        raise Failure(f"{place} cannot be written: {error.strerror}") from error


def forget(gateway: str) -> bool:
    """Remove it; whether there was one."""
    try:
        _place(gateway).unlink()
    except FileNotFoundError:
        return False
    return True
