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
    ca_file: Path = Field(description="Authority that the signatures of the audit trail lead to, PEM")
    form_key_file: Path = Field(description="File with the key that vouches for forms; 32 characters at least")
