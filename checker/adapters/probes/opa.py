"""One of the region's policy engines: whether it answers, and whether its bundle is the one that it should run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from checker.adapters.envoy.client import RegionClient
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Unavailable

# The status carries all of the engine's metrics: it is read less often than the health.
STATUS_SECONDS = 3.0
# An engine asks for a newer bundle every half minute, however long each answer is kept back.
OLD_SECONDS = 120.0


class OpaProbe(StatelessProbe):
    """See checker.ports.probe.Probe."""

    def __init__(
        self, client: RegionClient, role: str, now: Callable[[], float], period: float, timeout: float
    ) -> None:
        name = f"opa-{role}"
        self.about = ProbeInfo(name, name, "health", "OPA_UNREACHABLE", period, timeout)
        self._client = client
        self._now = now
        self._plugins: dict[str, Any] = {}
        self._log: dict[str, Any] = {}
        self._bundle: dict[str, Any] = {}
        self._version = ""
        self._read_at = -STATUS_SECONDS

    async def look(self) -> Finding:
        """See the port."""
        code, _ = await self._client.get(self.about.name, "/health?bundles=true&plugins=true")
        if code != 200:
            text = "The policy engine has no policy in force: everything that it is asked is refused."
            return Finding(Status.OUT_OF_SYNC, "OPA_NOT_READY", text, (("health", str(code)),))
        if time.monotonic() - self._read_at >= STATUS_SECONDS:
            await self._read_status()
        revision = str(self._bundle.get("active_revision", ""))
        values: tuple[tuple[str, str], ...] = (
            ("bundle_revision", revision),
            ("activated", str(self._bundle.get("last_successful_activation", ""))),
        )
        wrong, asked = str(self._bundle.get("code", "")), str(self._bundle.get("last_successful_request", ""))
        if wrong and not self._path_is_away():
            values = (*values, ("bundle_code", wrong))
            text = f"The policy engine runs revision {revision}, because it refuses the newest one: "
            text += str(self._bundle.get("message", ""))[:300]
            return Finding(Status.DEGRADED, "BUNDLE_ERROR", text, values, self._version)
        if asked and (age := self._now() - datetime.fromisoformat(asked).timestamp()) > OLD_SECONDS:
            text = (
                f"The policy engine runs revision {revision} and has not been able to ask for another for {age:.0f} s."
            )
            return Finding(Status.DEGRADED, "BUNDLE_STALE", text, (*values, ("last_asked", asked)), self._version)
        return self._plugins_finding(values) or healthy(*values, version=self._version)

    def _plugins_finding(self, values: tuple[tuple[str, str], ...]) -> Finding | None:
        """What its own status says of its parts: the bundle's is judged by the bundle."""
        wrong = {
            name: str(said.get("state", ""))
            for name, said in self._plugins.items()
            if name != "bundle" and said.get("state") not in ("OK", None)
        }
        if wrong:
            told = ", ".join(f"{name} {state}" for name, state in sorted(wrong.items()))
            text = f"The policy engine says of its own parts: {told}."
            return Finding(Status.DEGRADED, "OPA_STATUS_ERROR", text, (*values, *sorted(wrong.items())), self._version)
        if self._log.get("code") and "http_code" in self._log:
            text = f"The control plane refuses the engine's decision log: {str(self._log.get('message', ''))[:300]}"
            code = ("log_http_code", str(self._log["http_code"]))
            return Finding(Status.DEGRADED, "DECISION_LOG_REFUSED", text, (*values, code), self._version)
        return None

    def _path_is_away(self) -> bool:
        """The engine keeps this error through the whole of the long poll that comes after it."""
        return "http_code" in self._bundle or "request failed" in str(self._bundle.get("message", ""))

    async def _read_status(self) -> None:
        code, body = await self._client.get(self.about.name, "/v1/status")
        if code != 200:
            raise Unavailable(f"The policy engine's status answers {code}", reason="OPA_NOT_READY")
        result = orjson.loads(body).get("result", {})
        self._bundle = result.get("bundles", {}).get("orbital", {})
        self._plugins = result.get("plugins", {})
        self._log = result.get("decision_logs", {})
        self._version = str(result.get("labels", {}).get("version", ""))
        self._read_at = time.monotonic()
