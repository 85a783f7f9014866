"""The issuers of tokens that this stack believes: those that were set, or its own OpenBao."""

from __future__ import annotations

from typing import Any

from runtime.files import read_text
from runtime.issuers import PERSON, REGION, Issuers, read_issuers
from stack.context import StackContext
from stack.openbao import people
from stack.openbao.platform import AUDIENCE

WELL_KNOWN = ".well-known/openid-configuration"
# Nobody's token is for it: the issuer has not said yet what it calls the console and the command line.
NO_CLIENT = "none"


def issuers(context: StackContext) -> Issuers:
    """All of them, by name; people's audiences are known once the issuer has registered its clients."""
    if context.settings.issuers is not None:
        return context.settings.issuers
    return read_issuers(
        {
            "ias": {
                **_own(context, token_issuer(context)),
                "names": REGION,
                "claim": ["region"],
                "audiences": [AUDIENCE],
            },
            "people": {
                **_own(context, people.issuer(_address(context))),
                "names": PERSON,
                "claim": ["person"],
                "audiences": _clients(context),
            },
        }
    )


def token_issuer(context: StackContext) -> str:
    """The `iss` of the tokens of regions, where the stack's own OpenBao issues them."""
    return f"{_address(context)}/v1/identity/oidc"


def _own(context: StackContext, issuer: str) -> dict[str, Any]:
    return {"issuer": issuer, "discovery": f"{issuer}/{WELL_KNOWN}", "ca_file": context.authority()}


def _address(context: StackContext) -> str:
    return f"https://{context.address('openbao-global')}"


def _clients(context: StackContext) -> list[str]:
    """The console and the command line."""
    files = context.secret("console-client-id"), people.cli_client(context)
    return [read_text(file) for file in files if file.exists()] or [NO_CLIENT]
