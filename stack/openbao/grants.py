"""What each identity may ask of an OpenBao: one table, from which the policies are written.

Each grant names a path, what may be done there, the parameters that may be sent, and the code that sends them. What no
line names is refused: OpenBao denies by default, and a write that carries another parameter, or another value, is
denied as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# A value that OpenBao compares: a text in which `*` stands for anything at its end, or a boolean.
Value = str | bool
ANY: tuple[Value, ...] = ()
READ, LIST, DELETE = "read", "list", "delete"
# OpenBao calls a POST the one or the other, by whether there is already something at the path.
WRITE = ("create", "update")
UPDATE = ("update",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One path: what may be done there, and by which code.

    `parameters` are those that a write may carry, each with its values (ANY: all of them); a write without any
    parameter has none. A `+` in the path is any one segment, a `*` at its end any rest.
    """

    path: str
    can: Sequence[str]
    code: Sequence[str]
    parameters: Mapping[str, Sequence[Value]] | None = None

    @property
    def writes(self) -> bool:
        """Whether it lets anything be sent."""
        return bool({*WRITE} & {*self.can})

    def render(self) -> str:
        """The grant in OpenBao's language."""
        lines = [f"  capabilities = {json.dumps(list(self.can))}"]
        if self.writes and not self.parameters:
            lines.append('  denied_parameters = { "*" = [] }')
        elif self.writes and self.parameters is not None:
            named = ", ".join(f'"{name}" = {json.dumps(list(values))}' for name, values in self.parameters.items())
            lines.append(f"  allowed_parameters = {{ {named} }}")
        return "\n".join([f'path "{self.path}" {{', *lines, "}"])


def render(grants: Iterable[Grant]) -> str:
    """A policy that grants these and nothing else."""
    return "\n".join(grant.render() for grant in grants) + "\n"


_TRANSIT = "region.adapters.openbao.transit:BaoTransit"
_PERMITS = "region.adapters.openbao.permits:BaoPermits"
_STORE = "region.adapters.openbao.store:KvStore"
_SIGNER = "runtime.signing:BaoSigner"
_LOGINS = "gateway.adapters.openbao.logins:BaoLogins"
_WRAPPING = "gateway.adapters.openbao.logins:BaoWrapping"


def signing_key(name: str) -> tuple[Grant, ...]:
    """A signing key that is made in OpenBao, read in its public half, and signed by; it cannot be taken out."""
    made: dict[str, Sequence[Value]] = {"type": ["ecdsa-p256"], "exportable": [False]}
    return (
        Grant(
            path=f"signing/keys/{name}",
            can=(*WRITE, READ),
            code=(f"{_SIGNER}._read", f"{_SIGNER}._make"),
            parameters={**made, "allow_plaintext_backup": [False]},
        ),
        Grant(
            path=f"signing/sign/{name}/sha2-256",
            can=WRITE,
            code=(f"{_SIGNER}.sign",),
            parameters={"input": ANY, "prehashed": [True], "marshaling_algorithm": ["asn1"], "key_version": ANY},
        ),
    )


# A permit: the token by which one attempt changes keys. Keys come in by import alone and never go out: no parameter
# makes one exportable, and no path makes, exports, backs up, restores or copies one. Of a key's configuration only what
# a revocation and an emergency rotation need changes.
REGION_CHANGE = (
    Grant(path="l2/keys/+", can=(DELETE,), code=(f"{_TRANSIT}._destroy", f"{_TRANSIT}._change")),
    Grant(
        path="l2/keys/+/import",
        can=WRITE,
        code=(f"{_TRANSIT}._import",),
        parameters={
            "ciphertext": ANY,
            "hash_function": ["SHA256"],
            "type": ["aes256-gcm96"],
            "allow_rotation": [False],
            "exportable": [False],
        },
    ),
    Grant(
        path="l2/keys/+/import_version",
        can=WRITE,
        code=(f"{_TRANSIT}._import",),
        parameters={"ciphertext": ANY, "hash_function": ["SHA256"]},
    ),
    Grant(
        path="l2/keys/+/config",
        can=WRITE,
        code=(f"{_TRANSIT}.restrict", f"{_TRANSIT}._destroy"),
        parameters={"min_decryption_version": ANY, "deletion_allowed": ANY},
    ),
    Grant(path="auth/token/lookup-self", can=(READ,), code=(f"{_TRANSIT}._refuse",)),
)

# The login of a region's process reads keys and uses them. It changes none but by a permit, and ends anybody's.
REGION = (
    Grant(path="l2/keys", can=(LIST,), code=(f"{_TRANSIT}.names",)),
    Grant(path="l2/keys/+", can=(READ,), code=(f"{_TRANSIT}.key",)),
    Grant(path="l2/wrapping_key", can=(READ,), code=(f"{_TRANSIT}.prepare_import",)),
    Grant(path="auth/token/create/region-change", can=WRITE, code=(f"{_PERMITS}._made",), parameters={"ttl": ANY}),
    Grant(path="auth/token/revoke-accessor", can=WRITE, code=(f"{_PERMITS}.revoke",), parameters={"accessor": ANY}),
    Grant(
        path="l2/config/keys",
        can=(READ, *WRITE),
        code=(f"{_TRANSIT}._forbid_making",),
        parameters={"disable_upsert": [True]},
    ),
    *(
        # OpenBao calls encryption by an absent key a creation; `disable_upsert` is what refuses to make one.
        Grant(path=f"l2/{action}/+", can=can, code=(f"{_TRANSIT}._batch",), parameters={"batch_input": ANY})
        for action, can in (("encrypt", WRITE), ("decrypt", UPDATE), ("rewrap", UPDATE))
    ),
    Grant(
        path="keys/data/*",
        can=(READ, *WRITE),
        code=(f"{_STORE}._read", f"{_STORE}.write"),
        parameters={"data": ANY, "options": ANY},
    ),
    Grant(path="keys/metadata", can=(LIST,), code=(f"{_STORE}._listed",)),
    Grant(path="keys/metadata/*", can=(READ, LIST), code=(f"{_STORE}._older", f"{_STORE}._listed")),
    Grant(path="keys/destroy/*", can=UPDATE, code=(f"{_STORE}.forget_older",), parameters={"versions": ANY}),
    *signing_key("receipts"),
)

# A region that reaches the gateway by a token: at the issuer it gets that token, and does nothing else.
REGION_TOKEN = (
    Grant(
        path="identity/oidc/token/region",
        can=(READ,),
        code=("region.adapters.openbao.tokens:BaoTokens._fetch",),
    ),
)

# A customer's grant: its L1 keys are used, and neither read nor made.
CUSTOMER = tuple(
    Grant(
        path=f"transit/{action}/+",
        can=UPDATE,
        code=("region.adapters.l1.transit:TransitProvider._call",),
        parameters={parameter: ANY},
    )
    for action, parameter in (("encrypt", "plaintext"), ("decrypt", "ciphertext"))
)

_LOGIN_PAGE = ("OpenBao's own login page",)
# A person, who logs in for one thing: to be told to the console or the command line by the OIDC provider.
PERSON = (
    Grant(path="identity/oidc/provider/people/authorize", can=(READ,), code=_LOGIN_PAGE),
    Grant(path="auth/token/lookup-self", can=(READ,), code=_LOGIN_PAGE),
    Grant(path="auth/token/revoke-self", can=UPDATE, code=_LOGIN_PAGE, parameters={}),
    Grant(path="sys/capabilities-self", can=UPDATE, code=_LOGIN_PAGE, parameters={"paths": ANY, "path": ANY}),
    Grant(path="sys/internal/ui/resultant-acl", can=(READ,), code=_LOGIN_PAGE),
)

_CERTIFY = "gateway.adapters.openbao.authority:BaoAuthority.certify"
_REQUEST: Mapping[str, Sequence[Value]] = {"csr": ANY, "format": ["pem"]}


def gateway(domain: str, regions: Iterable[str]) -> tuple[Grant, ...]:
    """The gateway's: it certifies, signs proofs, wraps tokens, and gives these regions, and no others, their logins.

    A region without a login here has nothing that could be opened or shut.
    """
    found = [
        Grant(
            path="pki/sign/receipts",
            can=WRITE,
            code=(_CERTIFY,),
            parameters={**_REQUEST, "uri_sans": [f"spiffe://{domain}/region/*"]},
        ),
        Grant(
            path="pki/sign/proofs",
            can=WRITE,
            code=(_CERTIFY,),
            parameters={**_REQUEST, "uri_sans": [f"spiffe://{domain}/gateway/proofs"]},
        ),
        Grant(
            path="pki/sign/region",
            can=WRITE,
            code=(_CERTIFY,),
            parameters={**_REQUEST, "uri_sans": [f"spiffe://{domain}/region/*"], "alt_names": ANY, "ip_sans": ANY},
        ),
        *signing_key("proofs"),
        Grant(path="sys/wrapping/wrap", can=UPDATE, code=(f"{_WRAPPING}.wrap",), parameters={"region": ANY}),
        Grant(path="sys/wrapping/unwrap", can=UPDATE, code=(f"{_WRAPPING}.unwrap",), parameters={"token": ANY}),
        # Asked of any region, to learn whether it has a login.
        Grant(path="identity/entity/name/region-*", can=(READ,), code=(f"{_LOGINS}._has_login",)),
    ]
    for region in regions:
        role = f"auth/approle/role/region-{region}"
        found += [
            Grant(
                path=f"identity/entity/name/region-{region}",
                can=(READ, *WRITE),
                code=(f"{_LOGINS}._has_login", f"{_LOGINS}._able"),
                parameters={"disabled": ANY},
            ),
            Grant(path=f"{role}/secret-id", can=(LIST, *WRITE), code=(f"{_LOGINS}.renew",), parameters={}),
            Grant(
                path=f"{role}/secret-id-accessor/destroy",
                can=WRITE,
                code=(f"{_LOGINS}.renew",),
                parameters={"secret_id_accessor": ANY},
            ),
        ]
    return tuple(found)
