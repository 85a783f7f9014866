"""Templates: escaped by default, strict about names, with links to assets that say what they hold."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from console.cli.moments import age, between, elapsed
from console.cli.render import rebuilt
from console.web.person import PERSON, Person, person_of
from runtime.errors import OrbitalError, Unauthenticated
from runtime.files import read_bytes
from runtime.terminal import harmless

HERE = Path(__file__).parent
STATIC = HERE / "static"


@cache
def release() -> str:
    """A digest of all assets: scripts import one another, so that they change together."""
    files = sorted(STATIC.iterdir())
    return hashlib.sha256(b"".join(file.name.encode() + read_bytes(file) for file in files)).hexdigest()[:12]


def asset(name: str) -> str:
    """The URL of a file in static/: another content is another URL, so that browsers may keep it."""
    return f"/static/{release()}/{name}"


class Templates:
    """Makes pages. `form(principal, path)` gives the hidden field that vouches for a form."""

    def __init__(self, form: Callable[[str, str], str]) -> None:
        self._form = form
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_shown,
        )
        self._environment.globals["asset"] = asset
        self._environment.filters["age"] = lambda moment: age(moment, time.time())
        self._environment.filters["clock"] = clock
        self._environment.filters["words"] = words
        self._environment.filters["rebuilt"] = rebuilt
        self._environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
        self._environment.filters["person"] = lambda principal: principal.removeprefix(PERSON)
        self._environment.globals["took"] = took

    def page(self, request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page for whoever asks."""
        person = _known(request)
        shared = {
            "person": person,
            "path": request.path,
            "form": lambda path: self._form(person.principal if person else "", path),
        }
        text = self._environment.get_template(template).render(**shared, **values)
        response = web.Response(text=text, content_type="text/html", status=status)
        response.enable_compression()
        return response

    def problem(self, request: web.Request, status: int, error: OrbitalError) -> web.Response:
        """What went wrong, as a page: the sentence, the reason, what to do."""
        return self.page(request, "problem.html", status=status, code=status, error=error)


def _shown(value: Any) -> Any:
    """What others wrote, as text that stays in its place: no mark of direction or control character is left in it."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clock(moment: str | None) -> str:
    """The time of day of an RFC 3339 time, to the millisecond."""
    return moment[11:23] if moment else ""


def words(term: str) -> str:
    """`out_of_sync` as people write it."""
    return term.replace("_", " ").capitalize()


def took(begin: str | None, end: str | None) -> str:
    """How long it was between two RFC 3339 times."""
    return elapsed(between(begin, end))


def _known(request: web.Request) -> Person | None:
    try:
        return person_of(request)
    except Unauthenticated:
        return None
