"""The console: one process behind the gateway's Envoy, with no state and no rights of its own."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from aiohttp import web

from console.web import (
    approvals,
    audit,
    change,
    fleet,
    kill,
    login,
    parked,
    policy,
    region,
    search,
    static_files,
    tenants,
    trace,
)
from console.web.api import open_gateway
from console.web.console import CONSOLE, Console, routes
from console.web.forms import Forms
from console.web.guard import guard
from console.web.render import Templates
from console.web.settings import ConsoleSettings
from console.web.streams import Streams
from runtime.lifecycle import run
from runtime.logs import get_logger, setup_logs
from runtime.settings import read_secret

log = get_logger(__name__)

# Importing a page adds its routes.
PAGES = (fleet, region, tenants, change, kill, approvals, trace, login, parked, policy, audit, search, static_files)
LARGEST_FORM = 512 * 1024


async def main(settings: ConsoleSettings) -> None:
    """Serve until cancelled; whoever still reads a stream is cut off."""
    forms = Forms(read_secret(settings.form_key_file).get_secret_value().encode(), time.time)
    templates = Templates(forms.make)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(settings.gateway))
        application = web.Application(
            middlewares=[guard(templates, forms, settings.origin, settings.form_seconds)], client_max_size=LARGEST_FORM
        )
        streams = Streams(settings.streams_each, settings.write_seconds)
        application[CONSOLE] = Console(gateway, templates, settings.ca_file, streams)
        application.router.add_routes(routes)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, lingering_time=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        settings.listen.unlink(missing_ok=True)
        await web.UnixSite(runner, str(settings.listen)).start()
        settings.listen.chmod(0o600)
        log.info("serving", pages=len(PAGES))
        await asyncio.Event().wait()


if __name__ == "__main__":
    loaded: ConsoleSettings = ConsoleSettings.load()
    setup_logs(loaded.name, loaded.log_level)
    run(lambda: main(loaded))
