"""Tokens of any OAuth 2.0 issuer, by the client credentials grant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import orjson

from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable
from runtime.settings import read_secret
from runtime.trust import Trust

SECONDS = 10.0
MAX_BYTES = 64 * 1024  # an issuer's answer has some KiB


class ClientCredentials:
    """Implements `Tokens` (RFC 6749, section 4.4); `more` are parameters that the issuer wants beside the grant's."""

    def __init__(
        self, address: str, ca_file: Path | None, client_id: str, secret_file: Path, more: Mapping[str, str]
    ) -> None:
        self._address = address
        self._trust = Trust(ca_file)
        self._client_id = client_id
        self._secret_file = secret_file
        self._more = more

    async def fetch(self) -> tuple[str, float]:
        """See the port."""
        answer = await self._ask()
        token, life = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or token.count(".") != 2:
            raise Invalid("The issuer's answer holds no JWT", reason="BAD_TOKEN", field="access_token")
        if not isinstance(life, int | float) or life <= 0:
            raise Invalid("The issuer does not say how long the token lives", reason="BAD_TOKEN", field="expires_in")
        return token, float(life)

    async def _ask(self) -> Mapping[str, Any]:
        trust = self._trust.context()
        # Read each time: a secret that was replaced counts from the next token on.
        secret = read_secret(self._secret_file).get_secret_value()
        # Section 2.3.1: both are encoded as in a form first.
        client = aiohttp.encode_basic_auth(quote_plus(self._client_id), quote_plus(secret))
        form = {"grant_type": "client_credentials", **self._more}
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.post(
                    self._address, data=form, headers={"Authorization": client}, ssl=trust, allow_redirects=False
                ) as answer,
            ):
                raw, status = await read_answer(answer, MAX_BYTES), answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"The issuer gives no token: {type(error).__name__}", reason="ISSUER_AWAY") from error
        if status != 200:
            raise Unavailable(f"The issuer gives no token: it answers {status}", reason="ISSUER_AWAY")
        try:
            said = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Invalid("The issuer's answer is no JSON", reason="BAD_TOKEN") from error
        return said if isinstance(said, Mapping) else {}
