"""Sealing a region's OpenBao, and opening it again: what an operator there would do."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path

import hvac
import requests

from runtime.errors import NotFound, Unavailable
from runtime.files import read_text
from runtime.openbao import CORRELATION_HEADER
from stack import api
from stack.layout import Layout
from stack.openbao.client import make_client


def seal(place: Path | str, region: str) -> str:
    """Seal it; returns the correlation ID that OpenBao's audit log has of it."""
    layout = Layout.of(place)
    found = api.load_state(layout.root)
    port = found.ports.get(f"openbao-{region}")
    if port is None:
        raise NotFound(f'No region "{region}"', reason="UNKNOWN_REGION", field="region")
    token = read_text(layout.secrets / f"openbao-{region}-root-token")
    client = make_client(f"https://127.0.0.1:{port}", layout.root / "identity" / "ca.pem", token)
    correlation_id = uuid.uuid4().hex
    client.session.headers[CORRELATION_HEADER] = correlation_id
    try:
        client.sys.seal()
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        raise Unavailable(f"The OpenBao of {region} could not be sealed ({type(error).__name__})") from error
    return correlation_id


def unseal(place: Path | str, region: str) -> None:
    """Open it again: it is started anew, and its HSM's key opens it."""
    part = f"openbao-{region}"
    before = api.kill(place, part, signal.SIGTERM)
    api.wait_ready(place, part, after=before)
