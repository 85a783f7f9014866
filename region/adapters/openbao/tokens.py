"""Tokens of OpenBao's identity engine, by an AppRole of the region's."""

from __future__ import annotations

import asyncio

import hvac
import requests

from runtime.errors import Unavailable
from runtime.openbao import Login

SECONDS = 10.0


class BaoTokens:
    """Implements `Tokens`: `role` is the OIDC role whose tokens the gateway accepts."""

    def __init__(self, login: Login, role: str) -> None:
        self._login = login
        self._role = role

    async def fetch(self) -> tuple[str, float]:
        """See the port. By a login of its own, because the issuer may have been restored meanwhile."""
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(self._fetch)
        except (requests.RequestException, hvac.exceptions.VaultError, OSError) as error:
            raise Unavailable(f"The issuer gives no token: {type(error).__name__}", reason="ISSUER_AWAY") from error

    def _fetch(self) -> tuple[str, float]:
        secret, _ = self._login.token()
        answer = self._login.client(secret).secrets.identity.generate_signed_id_token(name=self._role)["data"]
        return answer["token"], float(answer["ttl"])
