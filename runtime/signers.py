"""Reads the public keys of the policy bundle from the policy engine beside a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable
from runtime.lenient_json import read_json
from runtime.signatures import PublicKeys

PATH = "/v1/data/orbital/signers"


@asynccontextmanager
async def open_public_keys(url: str, seconds: float = 2.0) -> AsyncIterator[PublicKeys]:
    """A public_keys fed by the engine at `url` (http://host:port), with a time-out a question."""
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def fetch() -> Mapping[str, Mapping[str, Any]]:
            try:
                async with asyncio.timeout(seconds), session.get(url.rstrip("/") + PATH) as response:
                    body = await read_answer(response)
                    found = read_json(body).at("result").value if response.status == 200 else None
            except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as error:
                raise Unavailable("The policy engine does not answer", reason="POLICY_UNAVAILABLE") from error
            if not isinstance(found, dict) or not found:
                raise Unavailable("The policy engine has no public keys yet", reason="NO_PUBLIC_KEYS")
            return found

        yield PublicKeys(fetch, time.time)
