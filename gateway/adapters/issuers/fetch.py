"""The keys of an issuer over HTTPS: by its OpenID configuration, or at an address of their own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable
from runtime.issuers import KeySource
from runtime.trust import Trust

SECONDS = 5.0
MAX_BYTES = 1024 * 1024  # a set of keys has some KiB


class IssuerKeys:
    """Implements `KeyFetch`."""

    def __init__(self, session: aiohttp.ClientSession, source: KeySource) -> None:
        self._session = session
        self._source = source
        self._trust = Trust(source.ca_file)

    async def fetch(self) -> Any:
        """See the port. OpenID Connect Discovery 1.0, section 4.3: a configuration of another issuer is refused."""
        trust = self._trust.context()
        address = self._source.jwks
        if self._source.discovery is not None:
            found = await self._json(self._source.discovery, trust)
            said = found.get("issuer") if isinstance(found, Mapping) else None
            if said != self._source.issuer:
                raise Invalid(
                    f"The configuration is of the issuer {said!r}; expected {self._source.issuer!r}",
                    reason="OTHER_ISSUER",
                    field="issuer",
                )
            address = str(found.get("jwks_uri", ""))
        if not address or not address.startswith("https://"):
            raise Invalid(f"The keys are said to be at {address!r}; expected https://", field="jwks_uri")
        return await self._json(address, trust)

    async def _json(self, address: str, trust: ssl.SSLContext) -> Any:
        try:
            # Where keys are is said by the settings and by the issuer, and by no third.
            async with self._session.get(address, ssl=trust, allow_redirects=False) as answer:
                raw = await read_answer(answer, MAX_BYTES)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"{address} does not answer: {type(error).__name__}", reason="ISSUER_AWAY") from error
        except Invalid as error:
            raise Invalid(f"{address} sends more than {MAX_BYTES} bytes", reason="BAD_KEY_SET") from error
        if status != 200:
            raise Unavailable(f"{address} answers {status}", reason="ISSUER_AWAY")
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Invalid(f"{address} sends no JSON", reason="BAD_KEY_SET") from error


@asynccontextmanager
async def open_issuers(sources: Mapping[str, KeySource]) -> AsyncIterator[dict[str, IssuerKeys]]:
    """The issuers by name."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield {name: IssuerKeys(session, source) for name, source in sources.items()}
