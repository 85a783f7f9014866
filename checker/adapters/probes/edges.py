"""The region's edges, as the region hears of them: whether each has the newest policy in force."""

from __future__ import annotations

from typing import Any

import orjson

from checker.adapters.envoy.client import RegionClient
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Unavailable

# The worst reason first: it names the flag, whatever else there is.
REASONS = ("EDGE_BUNDLE_REFUSED", "EDGE_DRIFT", "EDGE_SILENT")
MOST_SHOWN = 16  # edges named in one flag; the number of all is told


class EdgesProbe(StatelessProbe):
    """See checker.ports.probe.Probe."""

    def __init__(self, client: RegionClient, period: float, timeout: float) -> None:
        self.about = ProbeInfo("edges", "edges", "health", "EDGES_UNREACHABLE", period, timeout)
        self._client = client

    async def look(self) -> Finding:
        """See the port."""
        edges = await self._edges()
        values = tuple((str(edge["name"]), _told(edge)) for edge in edges[:MOST_SHOWN])
        wrong = [edge for edge in edges if edge.get("reason") in REASONS]
        if not wrong:
            return healthy(("edges", str(len(edges))), *values)
        wrong.sort(key=lambda edge: REASONS.index(edge["reason"]))
        more = f" Another {len(wrong) - 1} of {len(edges)} edges are not as they should be." if len(wrong) > 1 else ""
        return Finding(Status.DEGRADED, wrong[0]["reason"], f"{wrong[0].get('message', '')}{more}", values)

    async def _edges(self) -> list[dict[str, Any]]:
        code, body = await self._client.get(self.about.name, "/edges")
        if code != 200:
            raise Unavailable(f"The region answers {code} when asked about its edges")
        found: list[dict[str, Any]] = orjson.loads(body)["edges"]
        return found


def _told(edge: dict[str, Any]) -> str:
    status = str(edge.get("status", "")).removeprefix("EDGE_STATUS_").lower()
    return f"{status} revision={edge.get('revision', '')} desired={edge.get('desired_revision', '')}"
