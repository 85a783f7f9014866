"""Pages that ask for a login anew are pages to which that login leads back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aiohttp import web

import console.web.main  # noqa: F401 - all pages
from console.web import login
from console.web.console import routes
from runtime.errors import Denied, Invalid, OrbitalError, Precondition

TEMPLATES = Path(login.__file__).parent / "templates"
ASKING = [each.name for each in TEMPLATES.glob("*.html") if "mark.step_up(" in each.read_text()]
PAGES = [route for route in routes if isinstance(route, web.RouteDef) and route.method == "GET" and "{" in route.path]


def asks(route: web.RouteDef) -> bool:
    """Whether the page is of a module that shows such a template."""
    file = sys.modules[route.handler.__module__].__file__ or ""
    return any(f'"{name}"' in Path(file).read_text() for name in ASKING) and not route.path.startswith("/live/")


def test_every_page_that_asks_is_led_back_to() -> None:
    asking = sorted({route.path for route in PAGES if asks(route)})
    assert len(asking) >= len(ASKING) >= 3
    assert [path for path in asking if not path.startswith(login.PLACES)] == []


@pytest.mark.parametrize(
    ("error", "status"), [(Invalid("x"), 400), (Precondition("x"), 400), (Denied("x", reason=login.TOO_OLD), 403)]
)
def test_what_a_form_can_mend_is_shown_beside_it(error: OrbitalError, status: int) -> None:
    assert login.form_status(error) == status


def test_what_no_form_can_mend_is_raised() -> None:
    with pytest.raises(Denied):
        login.form_status(Denied("x", reason="NOT_ALLOWED"))
