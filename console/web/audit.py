"""Audit: whether history is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import web
from google.protobuf.message import DecodeError
from orbital.v1.audit_pb2 import AuditHead, AuditRecord, ListAuditRequest
from orbital.v1.flag_pb2 import HealthStatus

from console.cli import rows
from console.cli.moments import iso
from console.web.console import CONSOLE, routes
from console.web.guard import HEADERS, WHO
from console.web.live import Event, send_events
from runtime.errors import Invalid, Unavailable
from runtime.files import read_bytes
from runtime.trail import Held, Trail, TrailPages, write_line

PAGE, LISTED = 2000, 60


@routes.get("/audit")
async def audit(request: web.Request) -> web.Response:
    """The end of the trail, and what it takes to check all of it."""
    console, person = request.app[CONSOLE], request[WHO]
    call, api = console.gateway.call, console.gateway.audit.ListAudit
    known = await call(person, api, ListAuditRequest(page_size=1))
    head = _head(known.newest.head)
    before = request.query.get("before", "")
    end = int(before) if before.isdecimal() and len(before) < 19 else known.end
    found: list[AuditRecord] = []
    after = max(0, end - LISTED)
    while after < end and len(found) < LISTED:
        page = await call(person, api, ListAuditRequest(after=after, page_size=LISTED - len(found)))
        if not page.records:
            break
        found += page.records
        after = found[-1].sequence
    return console.templates.page(
        request,
        "audit.html",
        sequence=head.sequence,
        hash=head.hash.hex(),
        signed_at=iso(head.sign_time),
        records=[_told(one) for one in reversed(found)],
        older=max(0, found[0].sequence - 1) if found else 0,
    )


def _head(packed: bytes) -> AuditHead:
    try:
        return AuditHead.FromString(packed)
    except DecodeError as error:
        raise Unavailable("The newest signed head of the trail cannot be read.", reason="DAMAGED_HEAD") from error


def _fields(body: str) -> dict[str, Any]:
    """What a record says; one that cannot be read is shown as it is."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    return fields if isinstance(fields, dict) else {"unreadable": body}


def _told(record: AuditRecord) -> dict[str, object]:
    fields = _fields(record.body)
    if record.kind == "flag":
        number = fields.get("status", 0)
        fields["status"] = rows.word(HealthStatus, number, "HEALTH_STATUS") if isinstance(number, int) else str(number)
    told = [(key, value if isinstance(value, str) else orjson.dumps(value).decode()) for key, value in fields.items()]
    return {
        "sequence": record.sequence,
        "time": iso(record.record_time),
        "kind": record.kind,
        "fields": [(key, value) for key, value in told if value not in ("", "null", "0")],
        "correlation_id": str(fields.get("correlation_id", "")),
        "hash": record.hash.hex(),
    }


@routes.get("/live/audit")
async def verify(request: web.Request) -> web.StreamResponse:
    """The whole chain and its signed heads, checked here; told as it goes."""
    return await send_events(request, request[WHO], _verified(request))


async def _verified(request: web.Request) -> AsyncIterator[Event]:
    trail, pages = Trail(read_bytes(request.app[CONSOLE].authorities)), TrailPages()
    try:
        async for items in _read(request, pages):
            await asyncio.to_thread(_follow, trail, items)
            yield "checked", {"sequence": trail.sequence, "heads": trail.heads}
        pages.check_complete()
        trail.end()
    except Invalid as error:
        yield "verdict", {"whole": False, "said": error.message}
        return
    signed = trail.signed
    told = f"signed to #{signed.sequence:,} at {iso(signed.sign_time)}" if signed else ""
    yield "verdict", {"whole": True, "said": f"Whole to #{trail.sequence:,}, {told}: {trail.heads:,} heads hold."}


def _follow(trail: Trail, items: list[AuditRecord | Held]) -> None:
    for item in items:
        trail.take(item)


@routes.get("/audit/export")
async def export(request: web.Request) -> web.StreamResponse:
    """The trail as a file that `orbital audit verify --export` checks."""
    disposition = {"Content-Disposition": 'attachment; filename="orbital-audit.jsonl"'}
    response = web.StreamResponse(headers={**HEADERS, **disposition, "Content-Type": "application/jsonl"})
    # What is refused is refused before the file begins.
    pages = _read(request, TrailPages())
    streams = request.app[CONSOLE].streams
    with streams.one(request[WHO].principal):
        first = await anext(pages)
        await response.prepare(request)
        await streams.write(response, b"".join(map(write_line, first)))
        async for items in pages:
            await streams.write(response, b"".join(map(write_line, items)))
    return response


async def _read(request: web.Request, pages: TrailPages) -> AsyncIterator[list[AuditRecord | Held]]:
    console, person = request.app[CONSOLE], request[WHO]
    while pages.more:
        asked = ListAuditRequest(after=pages.after, page_size=PAGE)
        yield pages.take(await console.gateway.call(person, console.gateway.audit.ListAudit, asked))
