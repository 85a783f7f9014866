"""Who asks, and where: a certificate by mutual TLS, or a person's login by its token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from console.cli.failure import Exit, Failure
from console.cli.options import Target
from console.cli.session import Login, kept
from runtime.files import read_bytes, read_text
from runtime.identity import of_one_version

# Whose certificate is used where nobody is named and nobody is logged in.
DEFAULT = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """The gateway's address, what it is checked by (PEM), what is shown to it, and what the local stack says."""

    address: str
    authority: bytes
    credentials: grpc.ChannelCredentials
    state: dict[str, Any]
    # One of them: the file of a certificate, or a login.
    certificate: Path | None = None
    login: Login | None = None


# What the command line reads of a state file: of each member what it holds, with ANY for members of any name.
ANY = "*"
TEXTS: Mapping[str, Any] = {ANY: str}
SHAPE: Mapping[str, Any] = {
    "gateway": TEXTS,
    "login": TEXTS,
    "console": {"address": str},
    "files": TEXTS,
    "regions": {ANY: TEXTS},
    "identity": {ANY: TEXTS},
}


def read_state(directory: Path) -> dict[str, Any]:
    """The state file of a stack; raises Failure when there is none."""
    path = directory / "state.json"
    try:
        state = json.loads(read_text(path))
    except FileNotFoundError as error:
        raise Failure(f"No stack in {directory} ({path} is missing). Run: orbital up", Exit.UNAVAILABLE) from error
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict) or not _fits(state, SHAPE):
        raise Failure(f"{path} is no state file")
    return state


def _fits(value: object, shape: Any) -> bool:
    """Whether a value is of a type, or an object whose members are of the shapes that are told of them."""
    if isinstance(shape, type):
        return isinstance(value, shape)
    if not isinstance(value, dict):
        return False
    told = {name: shape.get(name, shape.get(ANY)) for name in value}
    return all(one is None or _fits(value[name], one) for name, one in told.items())


def state_of(target: Target) -> dict[str, Any]:
    """What the local stack says; empty where a gateway is named and there is no stack."""
    if target.gateway and not (target.directory / "state.json").exists():
        return {}
    return read_state(target.directory)


def login_address(target: Target, state: dict[str, Any]) -> str:
    """host:port where the gateway knows people by their tokens; empty where nothing says so."""
    return target.gateway or str(state.get("login", {}).get("gateway", ""))


def caller(target: Target) -> Caller:
    """Who asks: whoever is named, else whoever is logged in, else the operator of the local stack."""
    own = (target.gateway, target.cert, target.key, target.ca)
    state = {} if all(own) else state_of(target)
    if not (target.identity or target.cert or target.key):
        login = kept(login_address(target, state))
        if login is not None:
            return _by_token(target, state, login.good())
        if not state:
            raise Failure(
                f"Not logged in at {target.gateway}. Run: orbital login, or name --cert, --key and --ca",
                Exit.NOT_LOGGED_IN,
            )
    return _by_certificate(target, state)


def _by_token(target: Target, state: dict[str, Any], login: Login) -> Caller:
    authority = read_pem(target.ca or Path(login.ca))
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(authority), grpc.access_token_call_credentials(login.token)
    )
    return Caller(login.gateway, authority, credentials, state, login=login)


def _by_certificate(target: Target, state: dict[str, Any]) -> Caller:
    files = _files(target, state)
    address = target.gateway or str(state.get("gateway", {}).get("mtls", ""))
    if not address:
        raise Failure(f"{target.directory} names no gateway yet. Run: orbital status", Exit.UNAVAILABLE)
    authority, key, certificate = map(read_pem, of_one_version(files["ca"], files["key"], files["cert"]))
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return Caller(address, authority, credentials, state, certificate=files["cert"])


def _files(target: Target, state: dict[str, Any]) -> dict[str, Path]:
    known: dict[str, dict[str, str]] = state.get("identity", {})
    named = {"cert": target.cert, "key": target.key, "ca": target.ca}
    if all(named.values()):
        return {name: path for name, path in named.items() if path is not None}
    identity = target.identity or DEFAULT
    if not {"cert", "key", "ca"} <= known.get(identity, {}).keys():
        choices = ", ".join(known) or "none"
        raise Failure(f'No identity "{identity}" in {target.directory}; there are: {choices}', Exit.NOT_LOGGED_IN)
    return {name: named[name] or Path(known[identity][name]) for name in named}


def read_pem(path: Path) -> bytes:
    """What a file of certificates or keys holds; raises Failure."""
    try:
        return read_bytes(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}. Run: orbital up, or name --cert, --key and --ca"
        raise Failure(message, Exit.NOT_LOGGED_IN) from error
