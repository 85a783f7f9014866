"""Every path and method of OpenBao's API, as each identity of Orbital: what the table grants, and no more."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest

from stack import api
from stack.context import TRUST_DOMAIN
from stack.openbao import grants
from stack.openbao.client import make_client

# Answered to whoever comes without a token, or to any token about itself; no policy is asked.
OPEN = re.compile(
    r"^sys/(health|seal-status|init|leader|unseal|ha-status|generate-root|generate-recovery-token|rekey|rekey-recovery-key"
    r"|internal/ui/mounts|internal/ui/namespaces|internal/specs|metrics|storage/raft/(join|bootstrap))"
)
# The wrapping token that is sent is itself what is asked whether this is allowed.
BY_WHAT_IS_SENT = "sys/wrapping/unwrap"
METHODS = {"get": "read", "post": "update", "put": "update", "patch": "patch", "delete": "delete"}
GRANTED = {
    "region": grants.REGION,
    "region-change": grants.REGION_CHANGE,
    "region-token": grants.REGION_TOKEN,
    "customer": grants.CUSTOMER,
    "person": grants.PERSON,
    "gateway": grants.gateway(TRUST_DOMAIN, ["us20"]),
}


@dataclass(frozen=True)
class Identity:
    """A login at one OpenBao: a client as it, and one with all rights there."""

    name: str
    client: hvac.Client
    root: hvac.Client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("grants")
    place.parent.chmod(0o755)
    try:
        api.up(place, only=["openbao-global", "openbao-eu10", "openbao-customer"])
        yield place
    finally:
        api.remove(place)


def _client(place: Path, bao: str, token: str | None = None) -> hvac.Client:
    address = f"https://127.0.0.1:{api.load_state(place).ports[bao]}"
    return make_client(address, place / "identity" / "ca.pem", token)


def _root(place: Path, bao: str) -> hvac.Client:
    return _client(place, bao, (place / "secrets" / f"{bao}-root-token").read_text())


def _login(place: Path, bao: str, files: str) -> hvac.Client:
    client = _client(place, bao)
    role, secret = ((place / "secrets" / f"{files}-{part}-id").read_text() for part in ("role", "secret"))
    client.auth.approle.login(role, secret)
    return client


def _permitted(place: Path) -> hvac.Client:
    """As an attempt that changes a key: by a token that the region's login makes for it."""
    client = _login(place, "openbao-eu10", "openbao-eu10")
    made = client.adapter.post("/v1/auth/token/create/region-change", json={"ttl": "900s"})
    return _client(place, "openbao-eu10", made["auth"]["client_token"])


@pytest.fixture(params=list(GRANTED))
def identity(request: pytest.FixtureRequest, place: Path) -> Identity:
    match request.param:
        case "region":
            bao, client = "openbao-eu10", _login(place, "openbao-eu10", "openbao-eu10")
        case "region-change":
            bao, client = "openbao-eu10", _permitted(place)
        case "region-token":
            bao, client = "openbao-global", _login(place, "openbao-global", "ias-us20")
        case "gateway":
            bao, client = "openbao-global", _login(place, "openbao-global", "gateway")
        case "customer":
            bao = "openbao-customer"
            client = _client(place, bao, (place / "secrets" / "customer-token").read_text())
        case _:
            bao, client = "openbao-global", _client(place, "openbao-global")
            client.auth.userpass.login("officer", (place / "secrets" / "person-officer-password").read_text())
    return Identity(request.param, client, _root(place, bao))


def _places(root: hvac.Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, capability, schema of the body) of everything that OpenBao's own description of its API names."""
    described = root.adapter.get("/v1/sys/internal/specs/openapi", params={"generic_mount_paths": "false"})
    for template, what in described["paths"].items():
        parameters = [each["name"] for each in what.get("parameters", [])]
        for path in _filled(template.strip("/"), parameters):
            for method, capability in METHODS.items():
                if method not in what:
                    continue
                body = what[method].get("requestBody", {}).get("content", {}).get("application/json", {})
                name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
                schema = described["components"]["schemas"].get(name, {}).get("properties", {})
                yield path, capability, schema
                if method == "get":
                    yield path, "list", {}


def _filled(template: str, _parameters: list[str]) -> list[str]:
    """The path with names in the place of its parameters: with any, and with those that identities use."""
    names = ["probe", "receipts", "proofs", "people", "region", "region-us20", "region-zz99", "gateway", "sha2-256"]
    if "{" not in template:
        return [template]
    found = []
    for name in names:
        path = re.sub(r"\{[^}]+\}", name, template, count=1)
        found += [re.sub(r"\{[^}]+\}", rest, path) for rest in ("probe", "sha2-256")]
    return sorted(set(found))


def _matches(pattern: str, path: str) -> bool:
    expression = re.escape(pattern).replace(r"\+", "[^/]+")
    if expression.endswith(r"\*"):
        return re.match(expression[:-2], path) is not None
    return re.fullmatch(expression, path) is not None


def _grant(identity: str, path: str) -> grants.Grant | None:
    found = [grant for grant in GRANTED[identity] if _matches(grant.path, path)]
    return max(found, key=lambda grant: (grant.path == path, len(grant.path)), default=None)


def _capabilities(identity: Identity, paths: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for some in (paths[first : first + 200] for first in range(0, len(paths), 200)):
        body = {"token": identity.client.token, "paths": some}
        answer = identity.root.adapter.post("/v1/sys/capabilities", json=body)["data"]
        found |= {path: set(answer[path]) for path in some}
    return found


def test_an_identity_can_do_what_the_table_grants_and_nothing_else(identity: Identity) -> None:
    asked = [(path, capability) for path, capability, _ in _places(identity.root) if not OPEN.match(path)]
    assert len(asked) > 500
    held = _capabilities(identity, sorted({path for path, _ in asked}))
    for path, can in held.items():
        grant = _grant(identity.name, path)
        assert can - {"deny"} == set(grant.can if grant else ()), (identity.name, path)


def _post(client: hvac.Client, path: str, body: dict[str, Any]) -> int:
    try:
        client.adapter.post(f"/v1/{path}", json=body)
    except hvac.exceptions.Forbidden:
        return 403
    except hvac.exceptions.VaultError:
        return 400
    return 200


def test_a_write_with_another_parameter_or_value_is_denied(identity: Identity) -> None:
    tried = 0
    for path, capability, schema in _places(identity.root):
        grant = _grant(identity.name, path)
        if capability != "update" or grant is None or not grant.writes or path == BY_WHAT_IS_SENT:
            continue
        allowed = grant.parameters or {}
        for name in {*schema, "anything_else"} - {*allowed}:
            assert _post(identity.client, path, {name: True}) == 403, (identity.name, path, name)
            tried += 1
        for name, values in allowed.items():
            if values:
                for other in ({True, False, "another"} - {*values}) if isinstance(values[0], bool) else {"another"}:
                    assert _post(identity.client, path, {name: other}) == 403, (identity.name, path, name, other)
                    tried += 1
    assert tried or not any(grant.writes for grant in GRANTED[identity.name])


def test_a_key_cannot_be_taken_out_by_the_login_of_its_region(place: Path) -> None:
    login, root = _login(place, "openbao-eu10", "openbao-eu10"), _root(place, "openbao-eu10")
    client = _permitted(place)
    # A key that is there, however it came; nothing that follows may reach what it is made of.
    root.secrets.transit.create_key("victim", mount_point="l2")
    assert _post(login, "l2/keys/victim/config", {"min_decryption_version": 1}) == 403
    for body in ({"exportable": True}, {"allow_plaintext_backup": True}, {"auto_rotate_period": "1h"}):
        assert _post(client, "l2/keys/victim/config", body) == 403
        assert _post(client, "l2/keys/victim/config", {"deletion_allowed": False, **body}) == 403
    wrong = {"type": "aes256-gcm96", "ciphertext": secrets.token_hex(16), "hash_function": "SHA256"}
    for body in ({"exportable": True}, {"allow_plaintext_backup": True}, {"allow_rotation": True}, {"context": "x"}):
        assert _post(client, "l2/keys/fresh/import", {**wrong, **body}) == 403
    for path in ("l2/export/encryption-key/victim", "l2/backup/victim", "l2/byok-export/victim/victim"):
        for each in (client, login):
            with pytest.raises(hvac.exceptions.Forbidden):
                each.read(path)
    for path in ("l2/restore/copy", "l2/restore", "l2/keys/made", "l2/keys/victim/rotate", "l2/keys/victim/trim"):
        assert _post(client, path, {}) == _post(login, path, {}) == 403
    assert _post(login, "l2/encrypt/absent", {"batch_input": [{"plaintext": "AAAA"}]}) == 400
    assert _post(login, "l2/config/keys", {"disable_upsert": False}) == 403
    assert _post(client, "l2/keys/victim/config", {"min_decryption_version": 1}) < 400


def test_the_gateway_makes_secrets_of_no_role_but_its_regions(place: Path) -> None:
    client, root = _login(place, "openbao-global", "gateway"), _root(place, "openbao-global")
    roles = [*root.auth.approle.list_roles()["data"]["keys"], "region-zz99", "admin"]
    assert {"gateway", "region-us20"} <= {*roles}
    for role in roles:
        status = _post(client, f"auth/approle/role/{role}/secret-id", {})
        assert (status < 400) == (role == "region-us20"), role
        assert _post(client, f"auth/approle/role/{role}/custom-secret-id", {"secret_id": "known"}) == 403
        assert _post(client, f"auth/approle/role/{role}", {"token_policies": ["root"]}) == 403
    assert _post(client, "identity/entity/name/region-us20", {"metadata": {"region": "eu10"}}) == 403
    assert _post(client, "identity/entity/name/region-us20", {"policies": ["gateway"]}) == 403
