"""What holds for every request: who asks, forms made here alone, headers that bind the browser, errors as pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from console.web.forms import Forms
from console.web.person import Person, person_of
from console.web.render import Templates
from runtime.errors import (
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    NotFound,
    OrbitalError,
    Precondition,
    Unauthenticated,
    Unavailable,
)
from runtime.logs import get_logger

log = get_logger(__name__)

WHO = web.RequestKey("who", Person)
SLOW = web.RequestKey("slow", bool)
CHANGING = {"POST"}
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
# Their readers name the line of what is wrong.
READ_BY_LINE = {("/changes/new", "text")}
FORM_FIELD = "form"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then hide the origin of forms, which is checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATUS: dict[type[OrbitalError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Precondition: 409,
    Exhausted: 429,
    Unavailable: 503,
}


def guard(templates: Templates, forms: Forms, origin: str, form_seconds: float = 10.0) -> Middleware:
    """The middleware round every page. A form has arrived after `form_seconds`, or is refused."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        async def answer() -> web.StreamResponse:
            request[WHO] = person_of(request)
            _check_text("page", (*request.match_info.values(), *request.query.keys(), *request.query.values()))
            if request.method in CHANGING:
                await _arrived(request, form_seconds)
                await _made_here(request, forms, origin)
            return await handler(request)

        response = await _answered(request, answer(), templates)
        if SLOW in request:
            # Nothing more is read from whoever sent half of it.
            response.force_close()
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return middleware


async def _answered(
    request: web.Request, answering: Awaitable[web.StreamResponse], templates: Templates
) -> web.StreamResponse:
    """The answer, or a page that says what went wrong."""
    try:
        return await answering
    except OrbitalError as error:
        return templates.problem(request, STATUS.get(type(error), 500), error)
    except web.HTTPNotFound:
        return templates.problem(request, 404, NotFound("There is no such page."))
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # the one place where an unexpected error becomes a page
        log.error("unexpected", error=type(error).__name__, exc_info=error)
        return templates.problem(request, 500, OrbitalError("An internal error; it is in the console's log."))


async def _arrived(request: web.Request, seconds: float) -> None:
    """Read the form, which aiohttp keeps; raises Unavailable when it does not arrive in time."""
    try:
        async with asyncio.timeout(seconds):
            await request.post()
    except TimeoutError as error:
        request[SLOW] = True
        raise Unavailable(f"The form did not arrive within {seconds:.0f} s.", reason="FORM_TOO_SLOW") from error


async def _made_here(request: web.Request, forms: Forms, origin: str) -> None:
    """Raise Denied on a form of another site, in whatever way it was made."""
    context = request.headers.get("Sec-Fetch-Site", "same-origin")
    if request.headers.get("Origin") != origin or context != "same-origin":
        raise Denied("This request came from another site. Nothing was done.", reason="OTHER_ORIGIN")
    fields = await request.post()
    field = fields.get(FORM_FIELD, "")
    forms.check(field if isinstance(field, str) else "", request[WHO].principal, request.path)
    for name, value in fields.items():
        _check_text("form", [name])
        if (request.path, name) not in READ_BY_LINE and isinstance(value, str):
            _check_text(name, [value])


def _check_text(field: str, texts: Iterable[str]) -> None:
    """Raise Invalid on a control character, which nobody types and nothing can keep."""
    for text in texts:
        if found := UNPRINTABLE.search(text):
            message = f"The {field} has the control character U+{ord(found[0]):04X}. Nothing was done."
            raise Invalid(message, reason="CONTROL_CHARACTER", field=field)
