"""Login anew: before what is grave, policy wants a person who has just logged in."""

from __future__ import annotations

from aiohttp import web

from console.web.console import routes
from runtime.errors import Denied, Invalid, OrbitalError

# The reason of policies/authz/ingress.
TOO_OLD = "LOGIN_TOO_OLD"
# What the Envoy in front calls its cookies; without them a browser is sent to log in.
COOKIES = ("access", "hmac", "expires", "id")
# Where a login anew leads back to: the pages that ask for one.
PLACES = ("/kill/", "/approvals/", "/parked/")


def form_status(error: OrbitalError) -> int:
    """The status of a form's page that shows why nothing was done; raises what no form can mend."""
    if not isinstance(error, Denied):
        return 400
    if error.reason != TOO_OLD:
        raise error
    return 403


@routes.get("/step-up")
async def step_up(request: web.Request) -> web.Response:
    """End this session and begin another one, for which the login page asks for the password."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise Denied("This request came from another site. Nothing was done.", reason="OTHER_ORIGIN")
    response = web.Response(status=303)
    response.headers["Location"] = str(request.rel_url.with_path("/fresh").with_query({"next": _next(request)}))
    for name in COOKIES:
        response.del_cookie(f"__Host-orbital-{name}", path="/", secure=True, httponly=True, samesite="Lax")
    return response


@routes.get("/fresh")
async def fresh(request: web.Request) -> web.Response:
    """Where the login leads: back to where it was asked for."""
    raise web.HTTPSeeOther(_next(request))


def _next(request: web.Request) -> str:
    wanted = request.query.get("next", "")
    if not wanted.startswith(PLACES) or ".." in wanted or "\\" in wanted:
        raise Invalid("There is no such page to come back to.", field="next")
    return wanted
