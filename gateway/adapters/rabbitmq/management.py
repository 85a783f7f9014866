"""Connections at the broker, seen and ended through its management API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway.adapters.rabbitmq.connection import unavailable
from gateway.ports.revocation import BrokerConnection
from gateway.settings import ManagementSettings
from runtime.answers import read_answer
from runtime.errors import Invalid
from runtime.lenient_json import read_json
from runtime.settings import read_secret

SECONDS = 5.0


class Management:
    """Implements `BrokerConnections`."""

    def __init__(self, session: aiohttp.ClientSession, settings: ManagementSettings) -> None:
        self._session = session
        self._settings = settings
        self._base = f"{settings.url.rstrip('/')}/api/connections"

    async def entries(self, principal: str) -> Sequence[BrokerConnection]:
        """See the port."""
        listed = await self._call("GET", f"/username/{quote(principal, safe='')}")
        # That list does not say by which certificate; what does begins to know a connection a little later.
        seen = [await self._call("GET", _one(each["name"])) for each in listed or ()]
        return [BrokerConnection(str(each["name"]), _start(each)) for each in seen if each]

    async def expel(self, principal: str) -> None:
        """See the port."""
        await self._call("DELETE", f"/username/{quote(principal, safe='')}")

    async def close(self, entry: BrokerConnection) -> None:
        """See the port."""
        await self._call("DELETE", _one(entry.name))

    async def _call(self, method: str, path: str) -> Any:
        """The JSON of the answer; None where there is nothing, or nothing any more."""
        try:
            login = aiohttp.BasicAuth(self._settings.user, read_secret(self._settings.password_file).get_secret_value())
            # Encoded here: the broker takes a decoded slash for a part of the path.
            async with self._session.request(method, URL(self._base + path, encoded=True), auth=login) as answer:
                if answer.status in (204, 404):
                    return None
                answer.raise_for_status()
                return read_json(await read_answer(answer)).value
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, Invalid) as error:
            raise unavailable() from error


def _one(name: str) -> str:
    return f"/{quote(name, safe='')}"


def _start(connection: dict[str, Any]) -> float | None:
    """`peer_cert_validity` says "2026-01-01T00:00:00Z - 2026-01-01T01:00:00Z"."""
    begin = str(connection.get("peer_cert_validity", "")).partition(" - ")[0]
    try:
        return datetime.fromisoformat(begin).timestamp()
    except ValueError:
        return None


@asynccontextmanager
async def open_management(settings: ManagementSettings) -> AsyncIterator[Management]:
    """The API inside the block."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield Management(session, settings)
