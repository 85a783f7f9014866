"""The global side's OpenBao: it issues the certificates, and the tokens of regions that reach the gateway by JWT."""

from __future__ import annotations

import hvac
from cryptography import x509

from stack.context import JWT, TRUST_DOMAIN, StackContext
from stack.identity.roots import PEM, Roots, sign_intermediate
from stack.openbao.client import audit_headers, ensure_approle, ensure_mount
from stack.openbao.grants import REGION_TOKEN, gateway, render
from stack.openbao.people import set_up_people
from stack.openbao.server import OpenBao

ISSUER = "pki"
AUDIENCE = "orbital-gateway"
LOGIN_ROLE = "region"  # the name of a role
LOGIN_TTL = "10m"  # a duration
SIGNER = "orbital"
LONGEST_HOURS = 24 * 90
# Roles of the keys that sign, each with the names that it may certify; whose a request is the gateway knows.
SIGNERS = {
    "receipts": f"spiffe://{TRUST_DOMAIN}/region/*/receipts",
    "proofs": f"spiffe://{TRUST_DOMAIN}/gateway/proofs",
}
SIGNER_ROLE = {
    "require_cn": False,
    "use_csr_common_name": False,
    "use_csr_sans": False,
    "server_flag": False,
    "client_flag": True,
    "key_usage": ["DigitalSignature"],
    "key_type": "ec",
    "key_bits": 256,
    "ttl": f"{24 * 30}h",
    "max_ttl": f"{24 * 30}h",
    "no_store": True,
}


class PlatformBao(OpenBao):
    """Its PKI is an intermediate of the stack's root; its identity tokens carry the region's name as a claim."""

    # Its login page is the console's.
    ui = True

    def __init__(self, context: StackContext) -> None:
        super().__init__(context, "openbao-global")

    def set_up(self, client: hvac.Client) -> None:
        """Issuer, one role for each identity's name, token key and role, people, one login for each JWT region."""
        self._issuer(client)
        self._signing(client)
        self._tokens(client)
        set_up_people(self.context, client, self.address)
        accessor = ""
        for region in self.context.regions:
            if region.auth == JWT:
                role, secret = (
                    self.context.secret(f"ias-{region.name}-role-id"),
                    self.context.secret(f"ias-{region.name}-secret-id"),
                )
                role_id = ensure_approle(client, f"region-{region.name}", ["region-token"], role, secret)
                accessor = accessor or client.sys.list_auth_methods()["data"]["approle/"]["accessor"]
                self._entity(client, region.name, role_id, accessor)

    def _issuer(self, client: hvac.Client) -> None:
        ensure_mount(client, ISSUER, "pki", {})
        client.sys.tune_mount_configuration(ISSUER, max_lease_ttl=f"{LONGEST_HOURS}h")
        pki = client.secrets.pki
        if not client.list(f"{ISSUER}/issuers"):
            self.issue_anew(client)
        # One role for all: whom a certificate may be issued to is decided by the stack, the only one with this token.
        role = {
            "allowed_domains": ["localhost"],
            "allow_bare_domains": True,
            "allow_localhost": True,
            "allow_ip_sans": True,
            "allowed_uri_sans": [f"spiffe://{TRUST_DOMAIN}/*"],
            "require_cn": False,
            "key_type": "ec",
            "key_bits": 256,
            "max_ttl": f"{LONGEST_HOURS}h",
            "no_store": True,
        }
        pki.create_or_update_role("workload", role, mount_point=ISSUER)
        # Whose certificate it is the gateway says; what else is asked for in the request is not taken over.
        regions = {"allowed_uri_sans": [f"spiffe://{TRUST_DOMAIN}/region/*"], "use_csr_common_name": False}
        life = {"ttl": f"{int(self.context.settings.certificate_hours * 3600)}s", "use_csr_sans": False}
        pki.create_or_update_role("region", {**role, **regions, **life}, mount_point=ISSUER)
        for name, uris in SIGNERS.items():
            pki.create_or_update_role(name, {**SIGNER_ROLE, "allowed_uri_sans": [uris]}, mount_point=ISSUER)

    def issue_anew(self, client: hvac.Client) -> None:
        """From now on, certificates are issued by a new key, which the root that issues has signed."""
        root = Roots(self.context).issuing
        asked = client.secrets.pki.generate_intermediate(
            "internal", f"Orbital issuer of {root.name}", {"key_type": "ec", "key_bits": 256}, mount_point=ISSUER
        )
        signed = sign_intermediate(root, asked["data"]["csr"])
        whole = {"certificate": signed + root.certificate.public_bytes(PEM).decode()}
        imported = client.write_data(f"{ISSUER}/intermediate/set-signed", data=whole)["data"]
        default = next(issuer for issuer, key in imported["mapping"].items() if key)
        client.write_data(f"{ISSUER}/config/issuers", data={"default": default})

    def issuing_root(self, client: hvac.Client) -> x509.Certificate:
        """The root that certificates lead to that are issued now."""
        default = client.read(f"{ISSUER}/config/issuers")["data"]["default"]
        chain = client.read(f"{ISSUER}/issuer/{default}")["data"]["ca_chain"]
        return x509.load_pem_x509_certificate(chain[-1].encode())

    def forget_issuers(self, client: hvac.Client) -> None:
        """Take away every issuer but the one that issues and its root."""
        chain = {pem.strip() for pem in self._issuing_chain(client)}
        for issuer in client.list(f"{ISSUER}/issuers")["data"]["keys"]:
            if client.read(f"{ISSUER}/issuer/{issuer}")["data"]["certificate"].strip() not in chain:
                client.delete(f"{ISSUER}/issuer/{issuer}")

    def _issuing_chain(self, client: hvac.Client) -> list[str]:
        """The certificates (PEM) of the issuer that issues, and so on up to its root."""
        default = client.read(f"{ISSUER}/config/issuers")["data"]["default"]
        chain: list[str] = client.read(f"{ISSUER}/issuer/{default}")["data"]["ca_chain"]
        return chain

    def _signing(self, client: hvac.Client) -> None:
        """What the gateway may: certify the keys of receipts, and sign proofs by a key that it cannot read."""
        ensure_mount(client, "signing", "transit", {})
        audit_headers(client)
        logins = [region.name for region in self.context.regions if region.auth == JWT]
        client.sys.create_or_update_policy("gateway", render(gateway(TRUST_DOMAIN, logins)))
        role, secret = self.context.secret("gateway-role-id"), self.context.secret("gateway-secret-id")
        ensure_approle(client, "gateway", ["gateway"], role, secret)

    def _tokens(self, client: hvac.Client) -> None:
        identity = client.secrets.identity
        identity.configure_tokens_backend(issuer=self.address)
        identity.create_named_key(
            SIGNER, rotation_period="24h", verification_ttl="24h", allowed_client_ids=[AUDIENCE], algorithm="ES256"
        )
        template = '{"region": {{identity.entity.metadata.region}}}'
        identity.create_or_update_role(LOGIN_ROLE, SIGNER, template, client_id=AUDIENCE, ttl=LOGIN_TTL)
        client.sys.create_or_update_policy("region-token", render(REGION_TOKEN))

    def _entity(self, client: hvac.Client, region: str, role_id: str, accessor: str) -> None:
        identity = client.secrets.identity
        identity.create_or_update_entity_by_name(f"region-{region}", metadata={"region": region})
        entity = identity.read_entity_by_name(f"region-{region}")["data"]["id"]
        identity.create_or_update_entity_alias(name=role_id, canonical_id=entity, mount_accessor=accessor)
