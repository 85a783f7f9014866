"""Server-sent events: what changes is pushed. Every source sends a beat, so that a page can tell silence from calm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from console.web.console import CONSOLE
from console.web.guard import HEADERS
from console.web.person import Person
from console.web.streams import Streams
from runtime.errors import OrbitalError
from runtime.logs import get_logger

log = get_logger(__name__)

# Before the token ends, so that the page can be opened again with a new one.
SPARE_SECONDS = 20.0
Event = tuple[str, Mapping[str, Any]]


async def send_events(request: web.Request, person: Person, events: AsyncIterator[Event]) -> web.StreamResponse:
    """Answer with `events` until they end, the browser goes away, or the person's token is about to end."""
    streams = request.app[CONSOLE].streams
    with streams.one(person.principal):
        return await _send(request, person, events, streams)


async def _send(
    request: web.Request, person: Person, events: AsyncIterator[Event], streams: Streams
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    last: Event = ("bye", {"why": "over"})
    with suppress(ConnectionError):
        try:
            async with asyncio.timeout(max(0.0, person.seconds_left - SPARE_SECONDS)):
                async for name, body in events:
                    await streams.write(response, _event(name, body))
        except TimeoutError:
            last = ("bye", {"why": "session"})
        except OrbitalError as error:
            last = ("trouble", {"message": error.message})
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # the answer has begun, so that it cannot become a page
            log.error("unexpected", error=type(error).__name__, exc_info=error)
            last = ("trouble", {"message": "An internal error; it is in the console's log."})
        await streams.write(response, _event(*last))
    return response


def _event(name: str, body: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(body))
