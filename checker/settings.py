"""What a checker is told, by variables called ORBITAL_*."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.settings import Section, Settings


class OpaSettings(Section):
    """The region's policy engine that is asked before each probe."""

    url: str = Field(description="http://host:port of its data API")
    seconds: float = Field(1.0, gt=0, description="Time-out of a question")


class EnvoySettings(Section):
    """The region's sidecar, through which everything is looked at."""

    admin: Path = Field(description="The Unix socket of its admin interface")
    parts: Path = Field(description="Its Unix socket that leads to the region's parts")
    gateway: Path = Field(description="Its Unix socket that leads to the gateway")
    edges: dict[str, Path] = Field(
        {}, description="The same of the sidecars of edges that run here: admin sockets by edge, a JSON object"
    )


class LimitSettings(Section):
    """When something counts as not as it should be."""

    raise_after: int = Field(2, ge=1, le=20, description="Bad looks in a row that raise a flag")
    clear_after: int = Field(2, ge=1, le=20, description="Good looks in a row that clear one")
    stale_seconds: float = Field(5.0, gt=0, description="Age at which evidence is worth nothing")
    flap_changes: int = Field(5, ge=3, description="Changes within flap_seconds that are flapping")
    flap_seconds: float = Field(40.0, gt=0, description="The window of flap_changes")
    certificate_hours: float = Field(0.25, ge=0, description="Life that a certificate must have left")
    clock_seconds: float = Field(2.0, gt=0, description="Offset from the control plane's clock that is tolerated")
    journal_seconds: float = Field(60.0, gt=0, description="Age of a task in the journal that is too much")
    hop_seconds: float = Field(10.0, gt=0, description="Silence of a hop that is too much; the gateway beats every 2 s")
    attempts: int = Field(4, ge=1, description="Tries in vain that make a task a failing one")
    queue_messages: int = Field(2000, ge=1, description="Messages in one of the region's queues that are too many")
    latency_seconds: float = Field(
        0.5, gt=0, description="Median latency of a part, as Envoy sees it, that is too much"
    )
    disk_free: float = Field(0.05, ge=0, le=1, description="Free part of the disk below which the region is degraded")
    disk_least: float = Field(0.01, ge=0, le=1, description="Free part below which it is out of sync")


class CheckerSettings(Settings):
    """The settings of a region's checker."""

    name: str = Field(description="The process, for instance checker-eu10")
    region: str = Field(description="The region, for instance eu10")
    listen: Path = Field(description="Unix socket of /livez, /readyz, /healthz, /checks and /metrics")
    signing_file: Path = Field(description="File with the region's signing keys")
    outbox: Path = Field(description="File of the signals that the control plane has not taken yet")
    disk: Path = Field(description="A directory on the disk that is watched")
    beat_seconds: float = Field(1.0, gt=0, le=60, description="Seconds between signals while nothing changes")
    period_seconds: float = Field(0.5, ge=0.2, description="Seconds between two looks at a part")
    timeout_seconds: float = Field(1.2, gt=0, description="Time-out of a look at a part")
    log_level: str = Field("INFO", pattern="DEBUG|INFO|WARNING|ERROR", description="Least level that is logged")
    providers: tuple[str, ...] = Field(("hsm",), description="L1 providers of the region's processes, a JSON list")
    openbao_version: str = Field("", description="The version of OpenBao that is expected; empty: any")
    openbao_audit: Path | None = Field(None, description="OpenBao's audit log, where it can be read here")
    opa: OpaSettings
    envoy: EnvoySettings
    limits: LimitSettings = LimitSettings()
