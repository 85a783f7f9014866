"""A region's OpenBao: active keys live in it, and its unseal key is wrapped by the region's HSM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hvac

from stack.context import Region, StackContext
from stack.openbao.client import audit_headers, ensure_approle, ensure_mount, while_upgrading
from stack.openbao.grants import REGION, REGION_CHANGE, render
from stack.openbao.server import OpenBao
from stack.parts.softhsm import library, token_label
from stack.spawn import environment

WRAPPING_KEY_SECONDS = 60
POLICY = render(REGION)
# A permit: the token of one attempt, by which alone keys in transit are changed. Whoever overtakes it revokes it.
CHANGE = "region-change"
CHANGE_SECONDS = 900


def permit_changes(client: hvac.Client) -> None:
    """The role of the permits. They outlive the login that made them: a login that ends takes no attempt along."""
    client.sys.create_or_update_policy(CHANGE, render(REGION_CHANGE))
    role = {
        "allowed_policies": [CHANGE],
        "orphan": True,
        "renewable": False,
        "token_explicit_max_ttl": CHANGE_SECONDS,
        "token_no_default_policy": True,
        "token_type": "service",
    }
    client.write_data(f"auth/token/roles/{CHANGE}", data=role)


class RegionBao(OpenBao):
    """A region's OpenBao: its unseal key is wrapped by the region's HSM, and lies unwrapped only while it starts."""

    def __init__(self, context: StackContext, region: Region) -> None:
        super().__init__(context, f"openbao-{region.name}")
        self.requires = ("authority", f"softhsm-{region.name}")
        self._region = region

    def provide_unseal_key(self, to: Path) -> None:
        """Ask the region's HSM."""
        place = self.context.place(f"softhsm-{self._region.name}")
        command = [sys.executable, "-m", "stack.hsm", "unwrap", "--library", str(library(self.context))]
        command += ["--token", token_label(self._region.name), "--to", str(to)]
        command += ["--pin-file", str(self.context.secret(f"hsm-{self._region.name}-pin"))]
        command += ["--wrapped", str(self.context.secret(f"{self.name}-unseal-key.wrapped"))]
        own = environment({"SOFTHSM2_CONF": str(place / "softhsm2.conf")})
        subprocess.run(command, env=own, check=True, timeout=30)

    def set_up(self, client: hvac.Client) -> None:
        """The mounts, and the only roles that may use them."""
        ensure_mount(client, "l2", "transit", {})
        # Nobody's slip makes a key by encrypting under a name that is not there.
        client.write_data("l2/config/keys", data={"disable_upsert": True})
        ensure_mount(client, "signing", "transit", {})
        audit_headers(client)
        ensure_mount(client, "keys", "kv", {"version": "2"})
        keys = client.secrets.kv.v2
        while_upgrading(lambda: keys.configure(max_versions=1, cas_required=True, mount_point="keys"))
        client.sys.create_or_update_policy("region", POLICY)
        permit_changes(client)
        role, secret = self.context.secret(f"{self.name}-role-id"), self.context.secret(f"{self.name}-secret-id")
        ensure_approle(client, "region", ["region"], role, secret)
        # Transit makes its RSA wrapping key when it is first asked for it, which takes seconds: not at the first link.
        client.adapter.timeout = WRAPPING_KEY_SECONDS
        client.read("l2/wrapping_key")
