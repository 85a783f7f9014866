"""Certificates with SPIFFE names for everybody, issued by OpenBao, swapped atomically, renewed in time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hvac
from cryptography import x509

from runtime.files import read_bytes, read_text
from runtime.identity import swap
from runtime.logs import get_logger
from stack.context import EDGE, TRUST_DOMAIN, StackContext
from stack.openbao.people import PEOPLE
from stack.openbao.platform import ISSUER, PlatformBao
from stack.unit import Step

log = get_logger(__name__)

RENEW_AFTER = 2 / 3
LOOK_EVERY = 5.0


@dataclass(frozen=True)
class Identity:
    """Whom a certificate is for: the name of its directory and the path of its SPIFFE ID."""

    name: str
    path: str

    @property
    def spiffe(self) -> str:
        """The URI in the certificate."""
        return f"spiffe://{TRUST_DOMAIN}/{self.path}"


def identities(context: StackContext) -> list[Identity]:
    """Everybody who has a certificate."""
    people = [Identity(name, f"person/{name}") for name in PEOPLE]
    regions = [Identity(region.name, f"region/{region.name}") for region in context.regions]
    edges = [Identity(f"edge-{region.name}", f"edge/{region.name}/{EDGE}") for region in context.regions]
    return [Identity("gateway", "gateway"), *regions, *edges, *people]


class Certificates(Step):
    """Keeps `identity/NAME/current/{cert,key,ca}.pem` valid; `current` is a symlink renamed into place."""

    name = "certificates"
    requires = ("openbao-global",)

    def __init__(self, context: StackContext, bao: PlatformBao) -> None:
        super().__init__(context)
        self._bao = bao

    async def run(self) -> None:
        """A valid certificate for each identity."""
        await asyncio.to_thread(self.renew)

    async def keep(self) -> None:
        """Renew each after two thirds of its life."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await asyncio.to_thread(self.renew)
            except (hvac.exceptions.VaultError, OSError) as error:
                log.warning("certificates could not be renewed", error=str(error))

    def renew(self) -> None:
        """Issue what is missing or due."""
        due = [identity for identity in identities(self.context) if is_due(self.context.layout.identity(identity.name))]
        client = self._bao.client() if due else None
        for identity in due:
            if client:
                self.issue(client, identity)
        # What was issued just before a root was taken in or out, and put in place just after.
        spread_trust(self.context)

    def issue(self, client: hvac.Client, identity: Identity) -> None:
        """A new certificate for one, in force at once."""
        answer = client.secrets.pki.generate_certificate(
            "workload",
            "",
            extra_params={
                "uri_sans": identity.spiffe,
                "alt_names": "localhost",
                "ip_sans": "127.0.0.1",
                "ttl": f"{int(self.context.settings.certificate_hours * 3600)}s",
            },
            mount_point=ISSUER,
        )["data"]
        files = {
            "cert.pem": "\n".join([answer["certificate"], *_without_root(answer.get("ca_chain", []))]) + "\n",
            "key.pem": answer["private_key"] + "\n",
            "ca.pem": read_text(self.context.authority()),
        }
        swap(self.context.layout.identity(identity.name), files)
        log.info("certificate issued", identity=identity.name)


def spread_trust(context: StackContext) -> None:
    """Everybody believes what the stack believes: what is in force otherwise stays as it is."""
    believed = read_text(context.authority())
    for identity in identities(context):
        place = context.layout.identity(identity.name)
        current = (place / "current").resolve()
        files = {name: read_text(current / name) for name in ("cert.pem", "key.pem", "ca.pem")}
        if files["ca.pem"] != believed:
            swap(place, {**files, "ca.pem": believed})


def _without_root(chain: Sequence[str]) -> list[str]:
    """Whoever verifies has the root."""
    read = [(pem, x509.load_pem_x509_certificate(pem.encode())) for pem in chain]
    return [pem for pem, certificate in read if certificate.issuer != certificate.subject]


def is_due(place: Path, now: dt.datetime | None = None) -> bool:
    """Whether there is no certificate at `place`, or two thirds of its life are over."""
    try:
        certificate = x509.load_pem_x509_certificate(read_bytes(place / "current" / "cert.pem"))
    except FileNotFoundError:
        return True
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (now or dt.datetime.now(dt.UTC)) >= begin + (end - begin) * RENEW_AFTER
