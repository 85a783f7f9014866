"""A customer's own OpenBao: its transit keys are L1 keys, which a region uses by a token that the customer gave it."""

from __future__ import annotations

from pathlib import Path

import hvac

from runtime.files import read_text
from stack.context import StackContext
from stack.openbao.client import ensure_mount, make_client
from stack.openbao.grants import CUSTOMER, render
from stack.openbao.server import OpenBao
from stack.secret_files import write_private
from stack.state import load

NAME = "openbao-customer"
# What Links call it in every region of the stack, and the L1 key that the customer made in it.
PROVIDER = "kms"
KEY = "customer-root"
GRANT = "orbital"
# Neither read nor made, only used: the customer withdraws this to disable its keys.
POLICY = render(CUSTOMER)
LOGIN_PERIOD = "768h"  # a duration


class CustomerBao(OpenBao):
    """It shares nothing with the stack's others but the authority of its certificate."""

    def __init__(self, context: StackContext) -> None:
        super().__init__(context, NAME)

    def set_up(self, client: hvac.Client) -> None:
        """An L1 key, the permission to use it, and a token for the regions; a key that is there is left as it is."""
        ensure_mount(client, "transit", "transit", {})
        client.secrets.transit.create_key(KEY)
        if GRANT not in client.sys.list_policies()["data"]["policies"]:
            client.sys.create_or_update_policy(GRANT, POLICY)
        file = self.context.secret("customer-token")
        if not (file.exists() and _valid(client, read_text(file))):
            made = client.auth.token.create_orphan(policies=[GRANT], period=LOGIN_PERIOD, no_default_policy=True)
            write_private(file, made["auth"]["client_token"])


def _valid(client: hvac.Client, token: str) -> bool:
    try:
        return bool(client.auth.token.lookup(token))
    except hvac.exceptions.VaultError:
        return False


def allow(place: Path, *, allowed: bool) -> None:
    """As the customer of the stack at `place`: let the regions use its L1 keys, or no longer."""
    root = read_text(place / "secrets" / f"{NAME}-root-token")
    client = make_client(f"https://127.0.0.1:{load(place).ports[NAME]}", place / "identity" / "ca.pem", root)
    if allowed:
        client.sys.create_or_update_policy(GRANT, POLICY)
    else:
        client.sys.delete_policy(GRANT)
