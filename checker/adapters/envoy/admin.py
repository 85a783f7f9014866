"""Envoy's admin interface over its Unix socket, decoded with Envoy's own types."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from envoy_data_plane.envoy.admin.v3 import Certificates, Clusters, HostHealthStatus, ServerInfo, ServerInfoState

from checker.domain.statistics import WANTED, Latency, Snapshot
from runtime.answers import read_answer
from runtime.errors import Invalid, Unavailable

FILTER = "(" + "|".join(end.replace(".", r"\.") for end in (*WANTED, ".upstream_rq_time")) + ")$"
TIMES = re.compile(r"cluster\.([^.]+)\.upstream_rq_time")
MEDIAN, TAIL = 50, 99


class EnvoyAdmin:
    """One sidecar."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def snapshot(self) -> Snapshot:
        """Hosts, statistics and version at this moment; raises Unavailable when it does not answer or is not live."""
        said = orjson.loads(await self._get("/server_info"))
        # The rest of it, every extension there is, takes longer to decode than everything else together.
        info = ServerInfo.from_dict({key: said[key] for key in ("version", "state") if key in said})
        await self._get("/ready")
        if info.state is not ServerInfoState.LIVE:
            state = info.state.name if info.state else "unknown"
            raise Unavailable(f"The sidecar is {state}, not live", reason="ENVOY_NOT_LIVE")
        clusters = Clusters.from_json(await self._get("/clusters?format=json"))
        found = orjson.loads(await self._get(f"/stats?format=json&filter={quote(FILTER)}"))
        statistics: Mapping[str, int] = {
            item["name"]: int(item["value"]) for item in found["stats"] if "name" in item and "value" in item
        }
        down = sorted(
            cluster.name
            for cluster in clusters.cluster_statuses
            if any(_is_down(host.health_status) for host in cluster.host_statuses)
        )
        # COMMIT/VERSION/STATUS/TYPE/TLS
        version = [*info.version.split("/"), ""][1]
        return Snapshot(tuple(down), statistics, version, _latencies(found["stats"]))

    async def certificates(self) -> Mapping[str, dt.datetime]:
        """When each certificate that it shows to others ends, by its first name."""
        found = Certificates.from_json(await self._get("/certs"))
        ends: dict[str, dt.datetime] = {}
        for certificate in found.certificates:
            for each in certificate.cert_chain:
                names = [name.uri or name.dns or name.ip_address for name in each.subject_alt_names]
                name = next((text for text in names if text and text.startswith("spiffe:")), each.serial_number)
                if each.expiration_time is not None:
                    end = each.expiration_time
                    ends[name] = min(end, ends.get(name, end))
        return ends

    async def _get(self, path: str) -> str:
        try:
            async with self._session.get(f"http://admin{path}") as answer:
                text = (await read_answer(answer)).decode(errors="replace")
        except (aiohttp.ClientError, OSError, Invalid) as error:
            raise Unavailable("The sidecar's admin interface does not answer") from error
        if answer.status != 200:
            raise Unavailable(
                f"The sidecar answers {answer.status} to {path.split('?', maxsplit=1)[0]}", reason="ENVOY_NOT_LIVE"
            )
        return text


def _latencies(statistics: list[dict[str, Any]]) -> dict[str, Latency]:
    """Of each cluster that was asked anything in Envoy's last interval, which is five seconds."""
    found: dict[str, Latency] = {}
    for histograms in (each["histograms"] for each in statistics if each.get("histograms")):
        quantiles = histograms["supported_quantiles"]
        for each in histograms["computed_quantiles"]:
            name = TIMES.fullmatch(each["name"])
            values = dict(zip(quantiles, (value["interval"] for value in each["values"]), strict=True))
            if name and values[MEDIAN] is not None and values[TAIL] is not None:
                found[name[1]] = Latency(float(values[MEDIAN]), float(values[TAIL]))
    return found


def _is_down(health: HostHealthStatus | None) -> bool:
    # eds_health_status stays healthy whatever its health checks find.
    if health is None:
        return False
    return (
        health.failed_active_health_check
        or health.active_hc_timeout
        or health.failed_outlier_check
        or health.failed_active_degraded_check
    )


@asynccontextmanager
async def open_admin(socket: Path) -> AsyncIterator[EnvoyAdmin]:
    """A sidecar that does not have to be there yet."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), trust_env=False) as session:
        yield EnvoyAdmin(session)
