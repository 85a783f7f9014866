"""The region's OpenBao, by what it says of itself, and by whether it still audits what it is asked."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import orjson

from checker.adapters.envoy.client import RegionClient
from checker.adapters.probes.sealing import sealed_by
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Unavailable

# Whatever its state, it answers 200 and says which.
HEALTH = "/v1/sys/health?standbyok=true&sealedcode=200&uninitcode=200&standbycode=200"
# Asked without a token it is refused, and the refusal is audited first: where that fails, there is no refusal.
AUDITED = "/v1/auth/token/lookup-self"
REFUSED = 403
AUDIT_SECONDS = 2.0


class OpenBaoProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `version` is the one that is expected; any, where it is empty.

    `log` is its audit log, where that can be read: it names the action that sealed it.
    """

    def __init__(self, client: RegionClient, version: str, log: Path | None, period: float, timeout: float) -> None:
        self.about = ProbeInfo("openbao", "openbao", "health", "OPENBAO_UNREACHABLE", period, timeout)
        self._client = client
        self._version = version
        self._log = log
        self._audited_at = -AUDIT_SECONDS
        self._audit = REFUSED

    async def look(self) -> Finding:
        """See the port."""
        _, body = await self._client.get("openbao", HEALTH)
        try:
            said = orjson.loads(body)
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
            by = await asyncio.to_thread(sealed_by, self._log) if self._log else ""
            return Finding(Status.OUT_OF_SYNC, "OPENBAO_SEALED", text, values, version, by)
        if said.get("standby"):
            text = "OpenBao is a standby: it serves nothing by itself."
            return Finding(Status.DEGRADED, "OPENBAO_STANDBY", text, values, version)
        audit = await self._audits()
        values = (*values, ("audited_request", str(audit)))
        if audit >= 500:
            text = "OpenBao cannot write its audit log, so it refuses everything that it is asked."
            return Finding(Status.OUT_OF_SYNC, "OPENBAO_AUDIT_FAILING", text, values, version)
        if self._version and version != self._version:
            text = f"OpenBao is version {version}; {self._version} is expected."
            return Finding(Status.DEGRADED, "OPENBAO_VERSION", text, values, version)
        return healthy(*values, version=version)

    async def _audits(self) -> int:
        """The status of a request that is audited: a new one now and then, at once where the last one failed."""
        if self._audit >= 500 or time.monotonic() - self._audited_at >= AUDIT_SECONDS:
            self._audit, _ = await self._client.get("openbao", AUDITED)
            self._audited_at = time.monotonic()
        return self._audit
