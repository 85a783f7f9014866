"""The region's OpenBao, by what it says of itself over TLS."""

from __future__ import annotations

import ssl

import aiohttp
import orjson

from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import About, Look
from runtime.errors import Unavailable

# Whatever its state, it answers 200 and says which.
PATH = "/v1/sys/health?standbyok=true&sealedcode=200&uninitcode=200&standbycode=200"


class OpenBaoProbe(Look):
    """See checker.ports.probe.Probe."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tls: ssl.SSLContext,
        address: str,
        version: str,
        period: float,
        timeout: float,
    ) -> None:
        self.about = About("openbao", "openbao", "health", "OPENBAO_UNREACHABLE", period, timeout)
        self._session = session
        self._tls = tls
        self._url = address.rstrip("/") + PATH
        self._version = version

    async def look(self) -> Finding:
        """See the port."""
        try:
            async with self._session.get(self._url, ssl=self._tls) as answer:
                said = orjson.loads(await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"OpenBao cannot be reached: {type(error).__name__}") from error
        except orjson.JSONDecodeError as error:
            raise Unavailable("OpenBao answers something else than its health", reason="OPENBAO_UNREADABLE") from error
        version = str(said.get("version", ""))
        values = tuple((name, str(said.get(name, "")).lower()) for name in ("initialized", "sealed", "standby"))
        values = (*values, ("version", version))
        if not said.get("initialized"):
            text = "OpenBao is not initialised: it holds no key."
            return Finding(Status.OUT_OF_SYNC, "OPENBAO_UNINITIALISED", text, values, version)
        if said.get("sealed") is not False:
            text = "OpenBao is sealed: nothing is served, linked or revoked until it is unsealed."
            return Finding(Status.OUT_OF_SYNC, "OPENBAO_SEALED", text, values, version)
        if said.get("standby"):
            text = "OpenBao is a standby: it serves nothing by itself."
            return Finding(Status.DEGRADED, "OPENBAO_STANDBY", text, values, version)
        if self._version and version != self._version:
            text = f"OpenBao is version {version}; {self._version} is expected."
            return Finding(Status.DEGRADED, "OPENBAO_VERSION", text, values, version)
        return healthy(*values, version=version)
