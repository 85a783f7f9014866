"""The issuers of tokens that this stack believes: those that were set, or its own OpenBao."""

from __future__ import annotations

from typing import Any

from runtime.files import read_text
from runtime.issuers import PERSON, REGION, Issuers, read_issuers
from stack.openbao import people
from stack.openbao.world import AUDIENCE
from stack.site import Site

WELL_KNOWN = ".well-known/openid-configuration"
# Nobody's token is for it: the issuer has not said yet what it calls the console and the command line.
NO_CLIENT = "none"


def issuers(site: Site) -> Issuers:
    """All of them, by name; people's audiences are known once the issuer has registered its clients."""
    if site.settings.issuers is not None:
        return site.settings.issuers
    return read_issuers(
        {
            "ias": {**_own(site, token_issuer(site)), "names": REGION, "claim": ["region"], "audiences": [AUDIENCE]},
            "people": {
                **_own(site, people.issuer(_address(site))),
                "names": PERSON,
                "claim": ["person"],
                "audiences": _clients(site),
            },
        }
    )


def token_issuer(site: Site) -> str:
    """The `iss` of the tokens of regions, where the stack's own OpenBao issues them."""
    return f"{_address(site)}/v1/identity/oidc"


def _own(site: Site, issuer: str) -> dict[str, Any]:
    return {"issuer": issuer, "discovery": f"{issuer}/{WELL_KNOWN}", "ca_file": site.authority()}


def _address(site: Site) -> str:
    return f"https://{site.address('openbao-global')}"


def _clients(site: Site) -> list[str]:
    """The console and the command line."""
    files = site.secret("console-client-id"), people.cli_client(site)
    return [read_text(file) for file in files if file.exists()] or [NO_CLIENT]
