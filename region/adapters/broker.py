"""Where a message broker is that is reached by mutual TLS, and whom a process is to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from runtime.identity import of_one_version
from runtime.trust import believing, show


@dataclass(frozen=True, slots=True)
class Broker:
    """A listener, host:port, and the identity for it; the files are read at every connection."""

    address: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    virtual_host: str = "/"


def tls(broker: Broker) -> ssl.SSLContext:
    """What a connection to it is made with."""
    context = believing(broker.ca_file)
    certificate, key = of_one_version(broker.cert_file, broker.key_file)
    show(context, certificate, key)
    return context
