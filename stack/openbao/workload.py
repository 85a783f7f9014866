"""Certificates of workloads, which the platform of a customer would give them."""

from __future__ import annotations

from pathlib import Path

from runtime.files import read_text
from stack.context import TRUST_DOMAIN
from stack.openbao.client import make_client
from stack.openbao.platform import ISSUER
from stack.state import load

NAME = "openbao-global"


def issue_workload(place: Path, service: str) -> tuple[bytes, bytes]:
    """The key and the certificates (PEM) of a workload, TENANT/SYSTEM/SERVICE, by the stack's own authority."""
    root = read_text(place / "secrets" / f"{NAME}-root-token")
    client = make_client(f"https://127.0.0.1:{load(place).ports[NAME]}", place / "identity" / "ca.pem", root)
    names = {"uri_sans": f"spiffe://{TRUST_DOMAIN}/workload/{service}", "alt_names": "localhost"}
    made = client.secrets.pki.generate_certificate("workload", "", extra_params=names, mount_point=ISSUER)["data"]
    chain = "\n".join([made["certificate"], *made.get("ca_chain", [])])
    return made["private_key"].encode(), chain.encode()
