"""What a checker serves locally, to Kubernetes and to people: health with right status codes, every check, metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from checker.domain.flag import Flag, region_status
from checker.domain.sample import Sample, Status


class Verdict(Protocol):
    """What is asked at every request."""

    def alive(self) -> bool:
        """Whether the probing goes on."""

    def ready(self) -> bool:
        """Whether everything has been looked at once."""

    def flags(self) -> list[Flag]:
        """The flags now."""

    def history(self) -> dict[str, list[Sample]]:
        """Recent samples of each component, the oldest first."""

    def versions(self) -> dict[str, str]:
        """Component to version."""

    def heard(self) -> bool:
        """Whether the control plane took the last signal."""


class Pages:
    """The handlers."""

    def __init__(self, region: str, verdict: Verdict) -> None:
        self._region = region
        self._verdict = verdict

    async def livez(self, _: web.Request) -> web.Response:
        """200 while the probing goes on, 503 otherwise."""
        return _answer(self._verdict.alive(), {"alive": self._verdict.alive()})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 once everything has been looked at, 503 before."""
        return _answer(self._verdict.ready(), {"ready": self._verdict.ready()})

    async def healthz(self, _: web.Request) -> web.Response:
        """200 while the region is healthy or degraded, 503 while it is out of sync or unknown."""
        flags = self._verdict.flags()
        status = region_status(flags)
        body = {
            "region": self._region,
            "status": status.name.lower(),
            "signalled": self._verdict.heard(),
            "flags": [flag_json(flag) for flag in flags],
            "versions": self._verdict.versions(),
        }
        return _answer(status in {Status.HEALTHY, Status.DEGRADED}, body)

    async def checks(self, _: web.Request) -> web.Response:
        """Every component with its recent samples."""
        found = {
            name: [
                {
                    "at": sample.at,
                    "status": sample.finding.status.name.lower(),
                    "reason": sample.finding.reason,
                    "message": sample.finding.message,
                    "values": dict(sample.finding.values),
                }
                for sample in samples
            ]
            for name, samples in self._verdict.history().items()
        }
        return web.json_response({"region": self._region, "checks": found})

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(text="".join(self._metrics()), headers={"Content-Type": "text/plain; version=0.0.4"})

    def _metrics(self) -> Iterator[str]:
        region = f'region="{self._region}"'
        flags = self._verdict.flags()
        yield "# HELP orbital_region_status 1 healthy, 2 degraded, 3 out of sync, 4 unknown.\n"
        yield "# TYPE orbital_region_status gauge\n"
        yield f"orbital_region_status{{{region}}} {region_status(flags).value}\n"
        yield "# HELP orbital_flag A raised flag; the value is its severity: 2 warning, 3 critical.\n"
        yield "# TYPE orbital_flag gauge\n"
        for flag in flags:
            yield (
                f'orbital_flag{{{region},component="{flag.component}",status="{flag.status.name.lower()}",'
                f'reason="{flag.reason}"}} {flag.severity.value}\n'
            )
        yield "# HELP orbital_probe_status What the last look found.\n# TYPE orbital_probe_status gauge\n"
        latest = {name: samples[-1] for name, samples in self._verdict.history().items() if samples}
        for name, sample in latest.items():
            yield f'orbital_probe_status{{{region},component="{name}"}} {sample.finding.status.value}\n'
        yield "# HELP orbital_probe_seconds How long the last look took.\n# TYPE orbital_probe_seconds gauge\n"
        for name, sample in latest.items():
            taken = dict(sample.finding.values).get("milliseconds")
            if taken is not None:
                yield f'orbital_probe_seconds{{{region},component="{name}"}} {float(taken) / 1000:.4f}\n'


def flag_json(flag: Flag) -> dict[str, Any]:
    """A flag in words."""
    return {**asdict(flag), "status": flag.status.name.lower(), "severity": flag.severity.name.lower()}


def _answer(good: bool, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=200 if good else 503)


@asynccontextmanager
async def serve_pages(socket: Path, pages: Pages) -> AsyncIterator[None]:
    """Serve on a Unix socket inside the block."""
    app = web.Application()
    for name in ("livez", "readyz", "healthz", "checks", "metrics"):
        app.router.add_get(f"/{name}", getattr(pages, name))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield
    finally:
        await runner.cleanup()
