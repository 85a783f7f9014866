"""What a checker is told, by variables called ORBITAL_*."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.settings import Section, Settings


class OpaSettings(Section):
    """The region's policy engines. The bulk one is asked before each probe."""

    immediate_url: str = Field(description="http://host:port of the engine that decides for lane 0 and for workloads")
    bulk_url: str = Field(description="http://host:port of the engine that decides for lanes 1 and 2")
    seconds: float = Field(1.0, gt=0, description="Time-out of a question")


class OpenBaoSettings(Section):
    """The region's OpenBao."""

    address: str = Field(description="https://host:port")
    ca_file: Path = Field(description="Authority of its certificate, PEM")
    version: str = Field("", description="The version that is expected; empty: any")


class HsmSettings(Section):
    """The region's HSM."""

    library: Path = Field(description="The PKCS#11 library")
    token: str = Field(description="Label of the token")
    pin_file: Path = Field(description="File with the user PIN")
    key: str = Field("orbital-region-root", description="Label of the key that the self-test uses")
    conf: Path | None = Field(None, description="SoftHSM's configuration file, where the library is SoftHSM")


class EnvoySettings(Section):
    """The region's sidecar."""

    admin: Path = Field(description="The Unix socket of its admin interface")
    gateway: str = Field(description="Its socket that leads to the gateway, unix:PATH")


class RegionSettings(Section):
    """The region's processes."""

    immediate: str = Field(description="unix:PATH where the process of lane 0 answers for its health")
    bulk: str = Field(description="unix:PATH where the process of lanes 1 and 2 answers for its health")


class LimitSettings(Section):
    """When something counts as not as it should be."""

    raise_after: int = Field(2, ge=1, le=20, description="Bad looks in a row that raise a flag")
    clear_after: int = Field(2, ge=1, le=20, description="Good looks in a row that clear one")
    stale_seconds: float = Field(5.0, gt=0, description="Age at which evidence is worth nothing")
    flap_changes: int = Field(5, ge=3, description="Changes within flap_seconds that are flapping")
    flap_seconds: float = Field(40.0, gt=0, description="The window of flap_changes")
    certificate_hours: float = Field(2.0, ge=0, description="Life that a certificate must have left")
    clock_seconds: float = Field(2.0, gt=0, description="Offset from the control plane's clock that is tolerated")
    disk_free: float = Field(0.05, ge=0, le=1, description="Free part of the disk below which the region is degraded")
    disk_least: float = Field(0.01, ge=0, le=1, description="Free part below which it is out of sync")


class CheckerSettings(Settings):
    """The settings of a region's checker."""

    name: str = Field(description="The process, for instance checker-eu10")
    region: str = Field(description="The region, for instance eu10")
    listen: Path = Field(description="Unix socket of /livez, /readyz, /healthz, /checks and /metrics")
    disk: Path = Field(description="A directory on the disk that is watched")
    beat_seconds: float = Field(2.0, gt=0, le=5, description="Seconds between signals while nothing changes")
    period_seconds: float = Field(0.5, ge=0.2, description="Seconds between two looks at a part")
    timeout_seconds: float = Field(0.9, gt=0, description="Time-out of a look at a part")
    log_level: str = Field("INFO", pattern="DEBUG|INFO|WARNING|ERROR", description="Least level that is logged")
    opa: OpaSettings
    openbao: OpenBaoSettings
    hsm: HsmSettings
    envoy: EnvoySettings
    processes: RegionSettings
    limits: LimitSettings = LimitSettings()
