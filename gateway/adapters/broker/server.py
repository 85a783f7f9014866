"""RabbitMQ's HTTP authorisation backend, answered: a form in, `allow` or `deny` out, by mutual TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.ports.serving import BrokerAuthorizer
from gateway.settings import BrokerAccessSettings
from runtime.errors import OrbitalError, Unavailable
from runtime.logs import get_logger
from runtime.trust import believing, show

log = get_logger(__name__)

MAX_BODY = 64 * 1024  # the broker asks in less than 1 KiB
QUESTIONS = ("user", "vhost", "resource", "topic")
FIELDS = ("username", "vhost", "client_id", "resource", "name", "permission", "routing_key")


class AccessServer:
    """One route for each kind of question."""

    def __init__(self, authorizer: BrokerAuthorizer, *, authenticated: bool) -> None:
        self._authorizer = authorizer
        self._authenticated = authenticated

    async def answer(self, request: web.Request) -> web.Response:
        """`allow` or `deny`; 503, which the broker takes as a refusal and does not remember, when it is not known."""
        form = await request.post()
        # The password itself goes no further: that there is one is all that counts.
        asked = {name: str(form.get(name, "")) for name in FIELDS}
        try:
            # A broker that has authenticated sends as a password what says nothing.
            password = "password" in form and not self._authenticated
            allowed = await self._authorizer.allows(request.match_info["about"], asked, password=password)
        except Unavailable as error:
            return web.Response(status=503, text=error.message)
        except OrbitalError as error:
            log.warning("broker_access_unfit", reason=error.reason, error=error.message)
            allowed = False
        return web.Response(text="allow" if allowed else "deny")


@asynccontextmanager
async def serve_access(settings: BrokerAccessSettings, authorizer: BrokerAuthorizer) -> AsyncIterator[None]:
    """Answer inside the block, to whoever has a certificate of the one authority that is trusted for this."""
    context = believing(settings.ca_file, ssl.Purpose.CLIENT_AUTH)
    show(context, settings.cert_file, settings.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    application = web.Application(client_max_size=MAX_BODY)
    server = AccessServer(authorizer, authenticated=settings.authenticated)
    application.router.add_post(f"/{{about:{'|'.join(QUESTIONS)}}}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    host, _, port = settings.listen.rpartition(":")
    await web.TCPSite(runner, host, int(port), ssl_context=context).start()
    try:
        yield
    finally:
        await runner.cleanup()
