"""The settings of the console's process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.settings import Settings


class ConsoleSettings(Settings):
    """The root."""

    name: str = Field("console", description="Name of this process in logs")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    listen: Path = Field(description="Unix socket for HTTP; only the Envoy in front may reach it")
    gateway: str = Field(description="gRPC address where Envoy takes people's tokens: unix:PATH")
    origin: str = Field(pattern=r"^https://[^/]+$", description="Scheme, host and port that browsers use")
    form_seconds: float = Field(
        10.0, gt=0, le=300, description="How long a form may take to arrive: whoever sends it slowly holds nothing"
    )
    write_seconds: float = Field(
        30.0, gt=0, le=600, description="How long a reader may take nothing of what is streamed, before it is cut off"
    )
    streams_each: int = Field(
        40, ge=1, le=10_000, description="Most live pages of one person at once; each holds a watch at the gateway"
    )
    ca_file: Path = Field(description="Authority that the signatures of the audit trail lead to, PEM")
    form_key_file: Path = Field(description="File with the key that vouches for forms; 32 characters at least")
