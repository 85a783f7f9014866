"""The bearer token of a JWT region, from the issuer (OpenBao's OIDC provider), kept fresh in a file for Envoy (SDS)."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import hvac
import requests

from region.ports.world import World
from runtime.errors import Invalid
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.openbao import Login

log = get_logger(__name__)

TIMEOUT = 10.0
RENEW_AT = 2 / 3
SECRET_NAME = "token"  # noqa: S105  (the name that the sidecar's configuration asks SDS for)


class TokenKeeper:
    """Renews the token at two thirds of its life; while the issuer is away the file keeps the last one."""

    def __init__(self, login: Login, role: str, path: Path, world: World, fresh: asyncio.Event) -> None:
        self._login = login
        self._role = role
        self._path = path
        self._world = world
        # Set when there is a new login, whose tokens alone may count.
        self._fresh = fresh

    async def run(self) -> None:
        """Keep the file fresh, for ever."""
        backoff = Backoff(self._world.random)
        while True:
            try:
                async with asyncio.timeout(TIMEOUT):
                    token, life = await asyncio.to_thread(self._fetch)
                write_secret(self._path, token)
            except (requests.RequestException, hvac.exceptions.VaultError, Invalid, OSError) as error:
                log.warning("bearer_not_renewed", error=type(error).__name__)
                await self._wait(backoff.next())
                continue
            backoff.reset()
            log.info("bearer_renewed", lifetime_seconds=life)
            await self._wait(max(1.0, life * RENEW_AT))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._fresh.wait()
        except TimeoutError:
            return
        self._fresh.clear()

    def _fetch(self) -> tuple[str, float]:
        """(token, seconds it lives), by a login of its own, because the issuer may have been restored meanwhile."""
        secret, _ = self._login.token()
        answer = self._login.client(secret).secrets.identity.generate_signed_id_token(name=self._role)["data"]
        return answer["token"], float(answer["ttl"])


def write_secret(path: Path, token: str) -> None:
    """Replace the SDS file whole: Envoy reads it when the new one takes the name."""
    secret = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": SECRET_NAME,
        "generic_secret": {"secret": {"inline_string": token}},
    }
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        # JSON is YAML: one form, whatever the file is called.
        json.dump({"resources": [secret]}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
