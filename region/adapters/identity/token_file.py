"""The file from which a region's Envoy reads the bearer token (SDS)."""

from __future__ import annotations

import json
import os
from pathlib import Path

SDS_NAME = "token"  # as the sidecar's configuration asks SDS for it


def write_token(path: Path, token: str) -> None:
    """Replace the file whole: Envoy reads it when the new one takes the name."""
    secret = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": SDS_NAME,
        "generic_secret": {"secret": {"inline_string": token}},
    }
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        # JSON is YAML: one form, whatever the file is called.
        json.dump({"resources": [secret]}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
