"""Setting an OpenBao up through hvac, so that doing it again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hvac

from runtime.answers import BoundedSession
from runtime.files import read_text
from runtime.openbao import ATTEMPT_HEADER, CORRELATION_HEADER
from stack.secret_files import write_private

ANSWER_SECONDS = 15
UPGRADE_SECONDS = 10
LIFE = {"token_ttl": "1h", "token_max_ttl": "24h", "token_type": "service"}


def make_client(address: str, authority: Path, token: str | None = None) -> hvac.Client:
    """A client that trusts `authority` alone, whatever the environment says."""
    session = BoundedSession(authority)
    return hvac.Client(url=address, token=token, verify=str(authority), session=session, timeout=ANSWER_SECONDS)


def ensure_mount(client: hvac.Client, place: str, kind: str, options: Mapping[str, str]) -> None:
    """A secrets engine of `kind` at `place`."""
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    if f"{place}/" not in mounts:
        client.sys.enable_secrets_engine(kind, path=place, options=dict(options) or None)


def ensure_approle(client: hvac.Client, role: str, policies: Sequence[str], role_file: Path, secret_file: Path) -> str:
    """A role with a role ID and one secret ID, both in private files; returns the role ID."""
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    # OpenBao's `default` policy grants paths that nothing of ours asks.
    client.auth.approle.create_or_update_approle(
        role, token_policies=list(policies), token_no_default_policy=True, **LIFE
    )
    role_id: str = client.auth.approle.read_role_id(role)["data"]["role_id"]
    write_private(role_file, role_id)
    if not (secret_file.exists() and _known(client, role, read_text(secret_file))):
        write_private(secret_file, client.auth.approle.generate_secret_id(role)["data"]["secret_id"])
    return role_id


def audit_headers(client: hvac.Client) -> None:
    """Audit records name the change, and the attempt at a task, that a request belongs to."""
    for header in (CORRELATION_HEADER, ATTEMPT_HEADER):
        client.write(f"sys/config/auditing/request-headers/{header}", hmac=False)


def _known(client: hvac.Client, role: str, secret: str) -> bool:
    """Whether the role still has this secret ID."""
    try:
        return bool(client.auth.approle.read_secret_id(role, secret))
    except hvac.exceptions.VaultError:
        return False


def while_upgrading(write: Callable[[], Any]) -> None:
    """A new KV v2 mount refuses everything for a moment: repeat until it does not."""
    deadline = time.monotonic() + UPGRADE_SECONDS
    while True:
        try:
            write()
        except hvac.exceptions.InvalidRequest as error:
            if "pgrad" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
