"""People in the global OpenBao: accounts with passwords, and the OIDC provider by which the platform knows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import hvac

from stack.context import StackContext
from stack.openbao.grants import PERSON, render
from stack.secret_files import kept_secret, write_private

# Names of accounts; what each may do is said in policies/data/roles.yaml.
PEOPLE = ("officer", "operator", "auditor")
PROVIDER = "people"
CLIENT = "console"
CLI_CLIENT = "cli"
SCOPE = "orbital"
POLICY = "person"
CALLBACK = "/oauth/callback"
# Where a command line waits for its browser, on whatever port is free (RFC 8252, section 7.3).
LOOPBACK = "http://127.0.0.1/callback"
# A person whose rights are taken away has them for no longer than this.
LOGIN_TTL = "15m"  # a duration
# Tries of one source, an address, in so many seconds; passwords are of 24 random bytes.
LOGINS, LOGIN_SECONDS = 30, 10
_OIDC = "identity/oidc"


def issuer(address: str) -> str:
    """The `iss` of people's tokens."""
    return f"{address}/v1/{_OIDC}/provider/{PROVIDER}"


def login_page(address: str) -> str:
    """Where a browser is sent to log in."""
    return f"{address}/ui/vault/identity/oidc/provider/{PROVIDER}/authorize"


def logout_page(address: str) -> str:
    """Where a browser is sent so that nobody is logged in there any more."""
    return f"{address}/ui/vault/logout"


def password(context: StackContext, name: str) -> Path:
    """The file of an account's password."""
    return context.secret(f"person-{name}-password")


def cli_client(context: StackContext) -> Path:
    """The file of the command line's client ID, which is no secret: it has none, and PKCE instead."""
    return context.secret("cli-client-id")


def set_up_people(context: StackContext, client: hvac.Client, address: str) -> None:
    """One account and one entity for each of PEOPLE; the console and the command line as the provider's clients."""
    methods = client.sys.list_auth_methods()["data"]
    if "userpass/" not in methods:
        client.sys.enable_auth_method("userpass")
        methods = client.sys.list_auth_methods()["data"]
    client.sys.create_or_update_policy(POLICY, render(PERSON))
    # The login page then asks for a name and a password, and for nothing else.
    client.sys.tune_auth_method("userpass", listing_visibility="unauth")
    _slow_down_guessing(client)
    entities = [_person(context, client, name, methods["userpass/"]["accessor"]) for name in PEOPLE]
    _write(client, "key/people", {"algorithm": "ES256", "allowed_client_ids": "*"})
    _write(client, "assignment/people", {"entity_ids": entities})
    _write(client, f"scope/{SCOPE}", {"template": '{"person": {{identity.entity.metadata.person}}}'})
    console = _client(client, CLIENT, f"{origin(context)}{CALLBACK}", "confidential")
    write_private(context.secret("console-client-id"), console["client_id"])
    write_private(context.secret("console-client-secret"), console["client_secret"])
    cli = _client(client, CLI_CLIENT, LOOPBACK, "public")
    write_private(cli_client(context), cli["client_id"])
    allowed = [console["client_id"], cli["client_id"]]
    provider = {"issuer": address, "allowed_client_ids": allowed, "scopes_supported": [SCOPE]}
    _write(client, f"provider/{PROVIDER}", provider)


def _slow_down_guessing(client: hvac.Client) -> None:
    """Bound what one source may try, and lock nobody out.

    A lock after so many wrong passwords is a lever for whoever knows a name: it takes the officer out of a kill.
    """
    client.write_data("sys/auth/userpass/tune", data={"user_lockout_config": {"lockout_disable": True}})
    limit = {"path": "auth/userpass/", "rate": LOGINS, "interval": f"{LOGIN_SECONDS}s"}
    client.write_data("sys/quotas/rate-limit/logins", data=limit)


def _client(client: hvac.Client, name: str, redirect: str, kind: str) -> dict[str, str]:
    """A client of the provider, registered; what OpenBao says of it."""
    registered = {
        "key": "people",
        "assignments": ["people"],
        "redirect_uris": [redirect],
        "client_type": kind,
        "id_token_ttl": LOGIN_TTL,
        "access_token_ttl": LOGIN_TTL,
    }
    _write(client, f"client/{name}", registered)
    known: dict[str, str] = client.read(f"{_OIDC}/client/{name}")["data"]
    return known


def origin(context: StackContext) -> str:
    """The console's scheme, host and port: another host than OpenBao's, because cookies do not tell ports apart."""
    return f"https://localhost:{context.ports['console']}"


def _person(context: StackContext, client: hvac.Client, name: str, accessor: str) -> str:
    client.auth.userpass.create_or_update_user(
        name, kept_secret(password(context, name), 24), token_policies=[POLICY], token_no_default_policy=True
    )
    identity = client.secrets.identity
    identity.create_or_update_entity_by_name(f"person-{name}", metadata={"person": name})
    entity: str = identity.read_entity_by_name(f"person-{name}")["data"]["id"]
    identity.create_or_update_entity_alias(name=name, canonical_id=entity, mount_accessor=accessor)
    return entity


def _write(client: hvac.Client, path: str, body: Mapping[str, object]) -> None:
    client.write_data(f"{_OIDC}/{path}", data=dict(body))
